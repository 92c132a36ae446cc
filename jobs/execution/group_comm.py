"""Communication between the processes of a worker group about cells (not about gradients).

Rank 0 broadcasts what it pulled; afterwards all ranks agree on the outcome. With several ranks this runs over process groups of its own, so it cannot be
confused with the collectives of a cell that broke half-way. A rank that fails while the others wait for it in such a collective can wait only so long: after
`FAILURE_TIMEOUT` it raises `GroupBroken`, Ray Train tears the group down, and a new one is formed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import torch
import torch.distributed as dist

from jobs.execution.cell_queue import Order
from jobs.failures.outcome import Outcome, merge_outcomes

FAILURE_TIMEOUT = timedelta(seconds=60)
"""Time that a rank whose cell failed waits for the others."""

CELL_TIMEOUT = timedelta(days=7)
"""Time that ranks whose cell went well wait for the slowest of them."""


class GroupBroken(RuntimeError):
    """The ranks of a group lost each other; only new processes help."""


class GroupComm(Protocol):
    """One process's end of the communication in its group. Every method is a collective: all ranks call it, in the same order."""

    @property
    def rank(self) -> int:
        """Number of this process in its group, from 0."""
        ...

    def broadcast(self, produce: Callable[[], Order]) -> Order:
        """Call `produce` on rank 0 and return its result on every rank."""
        ...

    def max(self, number: int) -> int:
        """Return the largest of all ranks' numbers on every rank; for use within a cell, or after one that all ranks have left."""
        ...

    def consensus(self, outcome: Outcome) -> Outcome:
        """Return the group's outcome on every rank, from the outcomes of all."""
        ...


class SingleProcess:
    """The GroupComm of a group of one process: there is nothing to exchange."""

    rank = 0

    def broadcast(self, produce: Callable[[], Order]) -> Order:
        """Return the result of `produce`."""
        return produce()

    def max(self, number: int) -> int:
        """Return the number itself."""
        return number

    def consensus(self, outcome: Outcome) -> Outcome:
        """Return the outcome itself."""
        return outcome


class MultiProcess:
    """The GroupComm of one process of several, over gloo."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank = rank
        self._world = world
        self._between_cells = _new_group()
        self._during_cells = _new_group()
        """Separate: a rank that fails in its cell leaves the others waiting in this one, and must still reach them to say so."""

    def broadcast(self, produce: Callable[[], Order]) -> Order:
        """Call `produce` on rank 0 and return its result on every rank."""
        box: list[Order | None] = [produce() if self.rank == 0 else None]
        dist.broadcast_object_list(box, src=0, group=self._between_cells)
        (order,) = box
        assert order is not None, "rank 0 sends one"
        return order

    def max(self, number: int) -> int:
        """All-reduce the largest of all ranks' numbers."""
        box = torch.tensor([number])
        dist.all_reduce(box, op=dist.ReduceOp.MAX, group=self._during_cells)
        return int(box.item())

    def consensus(self, outcome: Outcome) -> Outcome:
        """All-gather the outcomes and merge them. Raises GroupBroken when a rank does not come in time."""
        timeout = CELL_TIMEOUT if outcome.status == "finished" else FAILURE_TIMEOUT
        try:
            dist.monitored_barrier(group=self._between_cells, timeout=timeout)
        except RuntimeError as error:
            raise GroupBroken(f"rank {self.rank} waited {timeout} for the others after its cell {outcome.status} {outcome.message}") from error
        outcomes = [outcome] * self._world
        dist.all_gather_object(outcomes, outcome, group=self._between_cells)
        return merge_outcomes(outcomes)


def _new_group() -> dist.ProcessGroup:
    group = dist.new_group(backend="gloo", timeout=CELL_TIMEOUT)
    assert isinstance(group, dist.ProcessGroup), "every rank is in it"
    return group
