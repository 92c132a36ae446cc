"""Baselines that train nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from loretta_core.methods.ranges import DefaultRange
from loretta_core.schema import Typed


class Untrained(Typed):
    """The model as it is: a baseline row."""

    trains: ClassVar[bool] = False
    zeroth_order: ClassVar[bool] = False
    updates_in_place: ClassVar[bool] = True
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


class NoTraining(Untrained):
    """Zero-shot: the score of the untrained model. With a prompt, what the model knows; with a fresh head, chance."""

    type: Literal["none"]


class InContext(Untrained):
    """In-context learning: the prompt begins with solved training rows (arXiv 2005.14165); nothing is trained. For decoders."""

    type: Literal["icl"]
    demonstrations: int = Field(32, ge=1)
    """Solved rows before each prompt, drawn with the cell's seed (MeZO: 32). What does not fit into `task.max_length` is cut from the left."""
