"""Trainers: one class per trainer, first order (gradients, here) or zeroth order (`trainers/zeroth_order.py`), and what trains nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from loretta_core.config.trainers.base import Trainer
from loretta_core.config.trainers.zeroth_order import ZerothOrderConfig
from loretta_core.methods.ranges import DefaultRange
from loretta_core.schema import Typed


class Adam(Trainer):
    """AdamW on back-propagated gradients (torch.optim.AdamW)."""

    zeroth_order: ClassVar[bool] = False

    type: Literal["adam"]
    lr: float = Field(5e-4, gt=0)
    """Learning rate (paper: 1e-4 to 5e-4 for adapters, 1e-6 for full fine-tuning of DeBERTa)."""
    max_grad_norm: float | None = Field(1.0, gt=0)
    """Gradients are clipped to this norm; None switches clipping off."""
    schedule: Literal["linear", "constant"] = "linear"
    """Learning rate over the run: falling linearly to 0, or constant."""


class _Untrained(Typed):
    """The model as it is: a baseline row."""

    trains: ClassVar[bool] = False
    zeroth_order: ClassVar[bool] = False
    updates_in_place: ClassVar[bool] = False
    state_numbers: ClassVar[float] = 0.0
    default_space: ClassVar[Mapping[str, DefaultRange]] = {}
    stop_at_score: ClassVar[float | None] = None
    carries_tangent: ClassVar[bool] = False
    jumps: ClassVar[bool] = False
    rewarded: ClassVar[bool] = False
    variants_at_once: ClassVar[int] = 1

    def total_steps(self, *, rows: int, batch_size: int) -> int:
        """Return 0: no step is taken."""
        return 0

    def evaluation_period(self, total_steps: int) -> int:
        """Return a period that is never reached: the only evaluation is the one before training."""
        return 1


class NoTraining(_Untrained):
    """Zero-shot: the score of the untrained model. With a prompt, what the model knows; with a fresh head, chance."""

    type: Literal["none"]


class InContext(_Untrained):
    """In-context learning: the prompt begins with solved training rows (arXiv 2005.14165); nothing is trained. For decoders."""

    type: Literal["icl"]
    demonstrations: int = Field(32, ge=1)
    """Solved rows before each prompt, drawn with the cell's seed (MeZO: 32). What does not fit into `task.max_length` is cut from the left."""


LearningConfig = Adam | ZerothOrderConfig
"""The trainers that change weights."""

TrainerConfig = Annotated[NoTraining | InContext | LearningConfig, Field(discriminator="type")]
