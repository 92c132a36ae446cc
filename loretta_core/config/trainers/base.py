"""Base of the trainers that change weights: budget, schedule, evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from loretta_core.methods.ranges import DefaultRange
from loretta_core.schema import Typed

DEFAULT_STEPS = 1000


class Trainer(Typed):
    """Settings that all trainers share that change weights."""

    trains: ClassVar[bool] = True
    """False if no weight changes, whatever the method."""
    zeroth_order: ClassVar[bool]
    """True if the trainer needs forward passes only."""
    updates_in_place: ClassVar[bool] = False
    """True if its step needs no gradient estimate of the weights' size."""
    state_numbers: ClassVar[float] = 0.0
    """fp32 numbers that a zeroth-order trainer keeps for every trained one, its gradient estimate among them."""
    lr_factor: ClassVar[float] = 1.0
    """Factor on the learning rates that a method gives for the trainer's family (`Method.learning_rates`)."""
    default_space: ClassVar[Mapping[str, DefaultRange]] = {}
    """Where `[tune]` looks for further settings of the trainer when the sweep file gives no ranges."""

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
    stop_at_score: float | None = None
    """Training ends with the first evaluation whose validation score is at least this; None takes all steps."""

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"steps = {self.steps} and epochs = {self.epochs} are both given; give one of them")
        return self

    @property
    def carries_tangent(self) -> bool:
        """True if forwards are differentiated along a direction."""
        return False

    @property
    def jumps(self) -> bool:
        """True if what is lowered has no gradient: the metric itself, or a reward."""
        return False

    @property
    def rewarded(self) -> bool:
        """True if what is lowered is 1 − the reward of texts that the model writes."""
        return False

    @property
    def variants_at_once(self) -> int:
        """Copies of what trains that a training forward computes with: 1 unless a zeroth-order trainer is `batched`."""
        return 1

    def total_steps(self, *, rows: int, batch_size: int) -> int:
        """Return the optimizer steps for `rows` training rows at a global batch of `batch_size`."""
        if self.epochs is not None:
            return max(1, math.ceil(self.epochs * rows / batch_size))
        return self.steps or DEFAULT_STEPS

    def evaluation_period(self, total_steps: int) -> int:
        """Return the steps between evaluations."""
        return self.eval_every or max(1, math.ceil(total_steps / 10))
