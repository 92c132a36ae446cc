"""Activation checkpointing (arXiv 1604.06174): blocks that keep their input alone and are computed again in the backward pass, dropout masks included."""

from __future__ import annotations

from transformers import PreTrainedModel

from loretta_core.errors import ModelError


def checkpoint_blocks(model: PreTrainedModel, *, every: int) -> None:
    """Compute every so many-th block of a model again, in place; 0 none. Raises ModelError for an architecture whose blocks cannot."""
    if not every:
        return
    if not model.supports_gradient_checkpointing:
        raise ModelError(f"engine.activation_checkpointing = {every}: the blocks of {model.config.model_type} cannot be computed again; leave it out")
    model.activation_checkpointing_enable(every_n_layers=every)
