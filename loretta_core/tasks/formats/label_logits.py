"""Logits at chosen positions only: a loss needs those at one position of a prompt, or at the few tokens of an answer, not all L × V.

The last layer of a language model (hidden size → V words) is given the hidden states of the chosen positions only. For OPT at 16 × 512 tokens that is 16
rows of 50,272 logits instead of 1.6 GB of them (fp32), which would be the largest tensor of a step that needs no gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float, Int
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel


def logits_at(model: nn.Module, inputs: Mapping[str, Tensor | bool], *, sequence_T: Int[Tensor, " T"], position_T: Int[Tensor, " T"]) -> Float[Tensor, "T V"]:
    """Return the logits of T chosen positions, each of a sequence, in the model's dtype. Without access to the head, all are computed first.

    Positions are indices, not a mask: their number must not depend on values, or torch.func could not batch it.
    """

    def select(module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden_SLH, *others = arguments
        return (hidden_SLH[sequence_T, position_T], *others)

    head = _head(model)
    hook = None if head is None else head.register_forward_pre_hook(select)
    try:
        logits = model(**inputs).logits
    finally:
        if hook is not None:
            hook.remove()
    return logits if logits.ndim == 2 else logits[sequence_T, position_T]


def _head(model: nn.Module) -> nn.Module | None:
    """Return the module that computes the logits; None under prompt tuning, which adds positions before the text and removes their logits again."""
    if isinstance(model, PeftModel):
        if model.active_peft_config.is_prompt_learning:
            return None
        model = model.get_base_model()
    head: Any = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
    return head if isinstance(head, nn.Module) else None
