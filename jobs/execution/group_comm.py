"""How the processes of a worker group talk about cells (not about gradients).

Rank 0 hands out what it pulled; afterwards all ranks agree on the outcome. With several ranks this runs over a process group of its own, so it cannot be
confused with the collectives of a cell that broke half-way. A rank that fails while the others wait for it in such a collective can wait only so long: after
`PARTING` it raises `GroupBroken`, Ray Train tears the group down, and a new one is formed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from jobs.execution.cell_queue import Order
from jobs.failures.outcome import Outcome, agreed

PARTING = timedelta(seconds=60)
"""A rank whose cell failed waits so long for the others."""

LONGEST_CELL = timedelta(days=7)
"""Ranks whose cell went well wait this long for the slowest of them."""


class GroupBroken(RuntimeError):
    """The ranks of a group lost each other; only new processes help."""


class SingleProcess:
    """A group of one process."""

    rank = 0

    def from_first(self, ask: Callable[[], Order]) -> Order:
        """Just ask."""
        return ask()

    def largest(self, number: int) -> int:
        """Itself."""
        return number

    def agree(self, outcome: Outcome) -> Outcome:
        """Nobody to agree with."""
        return outcome


class MultiProcess:
    """One process of a group of several."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank = rank
        self._world = world
        self._channel: Any = dist.new_group(backend="gloo", timeout=LONGEST_CELL)
        self._during_cells: Any = dist.new_group(backend="gloo", timeout=LONGEST_CELL)
        """Of its own again: a rank that fails in its cell leaves the others waiting there, and must still reach them to say so."""

    def from_first(self, ask: Callable[[], Order]) -> Order:
        """Rank 0's answer, on every rank."""
        box: list[Any] = [ask() if self.rank == 0 else None]
        dist.broadcast_object_list(box, src=0, group=self._channel)
        return box[0]

    def largest(self, number: int) -> int:
        """Of all ranks' numbers, on every rank; for use within a cell, or after one that all ranks have left."""
        box = torch.tensor([number])
        dist.all_reduce(box, op=dist.ReduceOp.MAX, group=self._during_cells)
        return int(box.item())

    def agree(self, outcome: Outcome) -> Outcome:
        """The group's outcome, on every rank."""
        patience = LONGEST_CELL if outcome.status == "finished" else PARTING
        try:
            dist.monitored_barrier(group=self._channel, timeout=patience)
        except RuntimeError as error:
            raise GroupBroken(f"rank {self.rank} waited {patience} for the others after its cell {outcome.status} {outcome.message}") from error
        outcomes: list[Any] = [None] * self._world
        dist.all_gather_object(outcomes, outcome, group=self._channel)
        return agreed(outcomes)
