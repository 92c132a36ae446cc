"""How the trainable parameters learn: one class per trainer, first order (gradients) or zeroth order (forward passes only)."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from loretta_core.config.base import Typed

DEFAULT_STEPS = 1000


class _Trainer(Typed):
    zeroth_order: ClassVar[bool]
    """True if the trainer needs forward passes only."""

    lr: float
    weight_decay: float = Field(0.0, ge=0.0)
    """Decoupled weight decay (papers: 0)."""
    steps: int | None = Field(None, ge=1)
    """Optimizer steps. None with `epochs` None means 1,000."""
    epochs: float | None = Field(None, gt=0)
    """Passes over the training rows, instead of `steps`."""
    schedule: Literal["linear", "constant"]
    warmup_ratio: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the steps in which the learning rate rises linearly from 0."""
    eval_every: int | None = Field(None, ge=1)
    """Steps between evaluations on the validation rows; None evaluates ten times over the run."""

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"steps = {self.steps} and epochs = {self.epochs} are both given; give one of them")
        return self

    def total_steps(self, *, rows: int, batch_size: int) -> int:
        """Optimizer steps for `rows` training rows at a global batch of `batch_size`."""
        if self.epochs is not None:
            return max(1, math.ceil(self.epochs * rows / batch_size))
        return self.steps or DEFAULT_STEPS

    def evaluation_period(self, total_steps: int) -> int:
        """Steps between evaluations."""
        return self.eval_every or max(1, math.ceil(total_steps / 10))


class Adam(_Trainer):
    """AdamW on back-propagated gradients (torch.optim.AdamW)."""

    zeroth_order: ClassVar[bool] = False

    type: Literal["adam"]
    lr: float = Field(5e-4, gt=0)
    """Learning rate (paper: 1e-4 to 5e-4 for adapters, 1e-6 for full fine-tuning of DeBERTa)."""
    max_grad_norm: float | None = Field(1.0, gt=0)
    """Gradients are clipped to this norm; None switches clipping off."""
    schedule: Literal["linear", "constant"] = "linear"
    """Learning rate over the run: falling linearly to 0, or constant."""


class ZoSgd(_Trainer):
    """ZO-SGD as in MeZO (arXiv 2305.17333): two forward passes per direction, no gradients, no optimizer state."""

    zeroth_order: ClassVar[bool] = True

    type: Literal["zo_sgd"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate (MeZO: 1e-6 for full fine-tuning of OPT, 1e-4 for LoRA)."""
    zo_eps: float = Field(1e-3, gt=0)
    """Scale ε of the perturbation (MeZO: 1e-3; 1e-2 for LoRA on OPT)."""
    num_directions: int = Field(1, ge=1)
    """Random directions averaged per step; each costs two forward passes (MeZO: 1)."""
    schedule: Literal["linear", "constant"] = "constant"
    """Learning rate over the run: falling linearly to 0, or constant (MeZO: constant)."""


TrainerConfig = Annotated[Adam | ZoSgd, Field(discriminator="type")]
