"""The connection of a cell to the cells that it shares computation with, its pack. `SOLO` shares nothing; `loretta_core.pack` has the other implementation.

What a cell shares is arithmetic only: the losses of its zeroth-order variants, or the gradient of its batch, may be computed in one forward with those of other
cells. Its model, optimizer, data order, random stream, sinks and files stay its own. Standard library only: a worker imports this before it loads torch.
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
"""The pieces of a global batch → its mean loss, whose gradient is added to `.grad` of the trainable parameters."""


@dataclass(frozen=True)
class CellComputation:
    """The objects that compute a cell's losses; a pack context gets them once the cell is built."""

    model: nn.Module
    trainable: Mapping[str, nn.Parameter]
    objective: Objective
    collate: Collator


@runtime_checkable
class PackContext(Protocol):
    """The connection of one cell to its pack."""

    @property
    def pack_info(self) -> PackInfo | None:
        """The pack of the cell; None for a cell that is computed alone."""
        ...

    def clock(self) -> float:
        """Return the seconds that this cell has taken, from an arbitrary zero; of a shared computation its part counts."""
        ...

    def join(self, computation: CellComputation) -> None:
        """Register the cell once it is built. Its frozen weights may become those of another cell, where they are equal bit by bit."""
        ...

    def evaluator(self, solo: Evaluator) -> Evaluator:
        """Return the evaluator of the cell's zeroth-order variants; `solo` is the one that the cell would use alone."""
        ...

    def backward(self, solo: Backward) -> Backward:
        """Return the function that computes the cell's gradients; `solo` is the one that the cell would use alone."""
        ...


class SoloContext:
    """The context of a cell that is computed alone: nothing is shared."""

    pack_info: PackInfo | None = None

    def clock(self) -> float:
        """Return the wall clock in seconds."""
        return time.perf_counter()

    def join(self, computation: CellComputation) -> None:
        """Do nothing: there are no other cells to share weights with."""

    def evaluator(self, solo: Evaluator) -> Evaluator:
        """Return the cell's own evaluator."""
        return solo

    def backward(self, solo: Backward) -> Backward:
        """Return the cell's own backward function."""
        return solo


SOLO = SoloContext()
"""The context of every cell that is not packed."""
