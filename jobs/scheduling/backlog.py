"""The backlog of a sweep: admitted cells that wait to be computed, by the worker group that they need. A search adds a round to it when it is empty.

Worker groups of different sizes come one after the other: a small group that ran beside a large one would keep its cores for ever, and the large one would
never start. A round of a search begins when no cell waits for any group; those of its cells that need the groups that are warm go to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from jobs.scheduling.resources import WorkerGroupSpec, by_group_spec
from loretta_core.config import CellConfig


class RoundSource(Protocol):
    """The source from which the backlog gets further cells."""

    def next_round(self) -> Sequence[CellConfig] | None:
        """Return the admitted cells of the next round, possibly none; None when there are no more rounds."""
        ...


@dataclass
class CellBacklog:
    """Cells that wait, by worker group."""

    source: RoundSource
    _waiting: dict[WorkerGroupSpec, list[CellConfig]] = field(default_factory=dict)

    def add(self, cells: Sequence[CellConfig]) -> None:
        """Append admitted cells to those that wait."""
        for spec, members in by_group_spec(cells).items():
            self._waiting.setdefault(spec, []).extend(members)

    def pop_largest(self) -> tuple[WorkerGroupSpec, list[CellConfig]] | None:
        """Remove and return the largest worker group that has cells, with its cells; None when all rounds are over."""
        self._refill()
        if not self._waiting:
            return None
        spec = max(self._waiting)
        return spec, self._waiting.pop(spec)

    def pop(self, spec: WorkerGroupSpec) -> list[CellConfig]:
        """Remove and return further cells for warm groups that have none left; none while cells wait for another group."""
        if self._waiting:
            return []
        self._refill()
        return self._waiting.pop(spec, [])

    def _refill(self) -> None:
        while not self._waiting:  # a round whose cells are all refused is followed by the next one
            cells = self.source.next_round()
            if cells is None:
                return
            self.add(cells)
