"""The cells that are still to be computed, by shape of worker group. A search adds to them while the sweep runs.

Shapes come one after the other: a small group that ran beside a large one would keep its cores for ever, and the large one would never start. A round of a
search begins when no cell is left of any shape; those of its cells that have the shape of the groups that are warm go to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jobs.failures.outcome import Outcome
from jobs.orchestration.cell_lifecycle import CellLifecycle
from jobs.scheduling.admission import admit
from jobs.scheduling.estimate import predictions
from jobs.scheduling.resources import Node, WorkerGroupSpec, by_group_spec
from loretta_core.config import CellConfig

Grow = Callable[[], Sequence[CellConfig]]
"""Gives cells that nobody knew before, once all known ones are over; none at the end."""


@dataclass
class CellBacklog:
    """Of one start of a sweep."""

    course: CellLifecycle
    nodes: Callable[[], Sequence[Node]]
    grow: Grow = tuple
    placed: int = 0
    """Cells that a node can hold, so far."""
    _waiting: dict[WorkerGroupSpec, list[CellConfig]] = field(default_factory=dict)

    def add(self, cells: Sequence[CellConfig]) -> None:
        """Admit cells, or record why not."""
        admission = admit(cells, self.nodes())
        self.placed += len(admission.placed)
        self.course.expects(cells, admission.placed, predicted_s=predictions(admission.placed, self.nodes()))
        for cell, why in admission.refused:
            self.course.done(Outcome(cell.cell_id, "failed", kind="memory", message=why))
        for shape, members in by_group_spec(admission.placed).items():
            self._waiting.setdefault(shape, []).extend(members)

    def next_shape(self) -> tuple[WorkerGroupSpec, list[CellConfig]] | None:
        """The largest shape that has cells, with its cells; None when all are over."""
        self._fill()
        if not self._waiting:
            return None
        shape = max(self._waiting)
        return shape, self._waiting.pop(shape)

    def more(self, shape: WorkerGroupSpec) -> list[CellConfig]:
        """Further cells for groups of a shape that have nothing left to do; none while another shape waits."""
        if not self._waiting:
            self._fill()
            return self._waiting.pop(shape, [])
        return []

    def _fill(self) -> None:
        while not self._waiting:  # a round whose cells are all refused is followed by the next one
            cells = self.grow()
            if not cells:
                return
            self.add(cells)
