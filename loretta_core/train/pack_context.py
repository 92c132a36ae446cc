"""A cell's place among those that are computed together with it. A cell by itself sits ALONE; `loretta_core.pack` gives the other seats.

What a cell shares is arithmetic only: the losses of its zeroth-order variants, or the gradient of its batch, may be computed in one forward with those of other
cells. Its model, optimizer, data order, random stream, sinks and files stay its own. Standard library only: a worker knows seats before it loads torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from loretta_core.store.records import PackInfo

if TYPE_CHECKING:
    from torch import nn

    from loretta_core.tasks.base import Batch, Objective
    from loretta_core.tasks.collate import Collator
    from loretta_core.zo.variants import Evaluator

Backward: TypeAlias = "Callable[[Sequence[Batch]], float]"
"""The pieces of a global batch → its mean loss, whose gradient is added to `.grad` of what trains."""


@dataclass(frozen=True)
class CellComputation:
    """What computes a cell's losses, given to its seat once it is built."""

    model: nn.Module
    trainable: Mapping[str, nn.Parameter]
    objective: Objective
    collate: Collator


@runtime_checkable
class PackContext(Protocol):
    """Where a cell is computed."""

    @property
    def facts(self) -> PackInfo | None:
        """None for a cell that is computed alone."""
        ...

    def clock(self) -> float:
        """Seconds that this cell has taken, from an arbitrary zero: of what it shares with others, its part."""
        ...

    def join(self, arithmetic: CellComputation) -> None:
        """The cell is built. Its frozen weights may become those of another cell, where they are equal bit by bit."""
        ...

    def evaluator(self, alone: Evaluator) -> Evaluator:
        """Evaluates the cell's zeroth-order variants; `alone` is how it does so by itself."""
        ...

    def backward(self, alone: Backward) -> Backward:
        """Computes the cell's gradients; `alone` is how it does so by itself."""
        ...


class SoloContext:
    """The seat of a cell by itself."""

    facts: PackInfo | None = None

    def clock(self) -> float:
        """Wall clock."""
        return time.perf_counter()

    def join(self, arithmetic: CellComputation) -> None:
        """Nobody to share with."""

    def evaluator(self, alone: Evaluator) -> Evaluator:
        """As it is."""
        return alone

    def backward(self, alone: Backward) -> Backward:
        """As it is."""
        return alone


SOLO = SoloContext()
