"""State of a training run, and the protocols of what holds and saves it: used by the loop, the engines and the checkpointers.

TrainingProgress   step, curves, best score and best weights so far
TrainingState      the trainable weights and their optimizer
Checkpointer       writes both to disk and restores them
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

Curves = dict[str, list[tuple[int, float]]]
"""Metric name → [(step, value)]."""

StopReason = Callable[[int], Exception | None]
"""Steps taken → the exception that ends training here, or None to go on."""


def never_stop(step: int) -> None:
    """Return None at every step: the StopReason of a run that nothing interrupts."""


@dataclass
class TrainingProgress:
    """Everything about a run that changes while it runs, besides weights and optimizer."""

    step: int = 0
    best_step: int = 0
    best_score: float = -math.inf
    best: Mapping[str, Tensor] = field(default_factory=dict)
    """Trainable parameters at `best_step`."""
    curves: Curves = field(default_factory=dict)
    train_s: float = 0.0
    """Seconds spent in optimizer steps."""

    def note(self, name: str, value: float) -> None:
        """Add a point at the current step to a curve."""
        self.curves.setdefault(name, []).append((self.step, value))


@runtime_checkable
class TrainingState(Protocol):
    """The weights in training, as the loop and a checkpointer see them."""

    @property
    def trainable(self) -> Mapping[str, nn.Parameter]:
        """The trainable parameters, by name."""
        ...

    @property
    def optimizer(self) -> Any:
        """The optimizer, whose `param_groups` carry the learning rate."""
        ...

    def copy_trainable(self) -> dict[str, Tensor]:
        """Return a copy of the trainable parameters."""
        ...

    def load_trainable(self, values: Mapping[str, Tensor]) -> None:
        """Write `values` into the parameters, in place."""
        ...


@runtime_checkable
class Checkpointer(Protocol):
    """Saves one cell while it trains; `state` is that of its engine."""

    def save(self, state: Any, progress: TrainingProgress, *, now: bool = False) -> None:
        """Write the state, unless the last save is too recent; `now` writes it in any case."""
        ...

    def restore(self, state: Any) -> TrainingProgress | None:
        """Load the last save into `state`; None when there is none."""
        ...

    def clear(self) -> None:
        """Delete the checkpoints of a finished cell."""
        ...


_OLD_NAMES = {"train_seconds": "train_s"}
"""Field names in checkpoints of earlier versions → today's."""


def progress_scalars(progress: TrainingProgress) -> dict[str, Any]:
    """Return everything but the best weights, as JSON values."""
    return {field.name: getattr(progress, field.name) for field in fields(progress) if field.name != "best"}


def progress_from(scalars: Mapping[str, Any], *, best: Mapping[str, Tensor]) -> TrainingProgress:
    """Invert `progress_scalars`; scalars written by an earlier version are read, too."""
    curves = {name: [(step, value) for step, value in points] for name, points in scalars["curves"].items()}
    numbers: dict[str, Any] = {_OLD_NAMES.get(name, name): value for name, value in scalars.items()} | {"curves": curves}
    return TrainingProgress(**numbers, best=best)
