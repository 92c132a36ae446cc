"""The protocol through which a running sweep reports what happens. `console/reporter.py` prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from jobs.failures.outcome import Outcome
from loretta_core.config import CellConfig
from loretta_core.store.records import Record


class SweepEvents(Protocol):
    """Receives the events of one start of a sweep, in the driver."""

    def on_cells_added(
        self,
        cells: Sequence[CellConfig],
        *,
        placed: Sequence[CellConfig],
        predicted_s: Mapping[str, float],
        scoring_s: Mapping[str, float],
        roles: Mapping[str, str],
    ) -> None:
        """The sweep has got cells to compute: those with which it starts, or another round of a search.

        Args:
            placed: those of them that a node can hold, with their engines.
            predicted_s: cell id → seconds that the planner expects.
            scoring_s: cell id → expected seconds, for cells that are trained already and whose test rows are scored now.
            roles: cell id → what the cell is for, in a sweep with [tune] or [replicate]: `trial 3 of 8 of lora · adam`.
        """
        ...

    def on_cell_started(self, cell: CellConfig, *, pack_size: int) -> None:
        """A cell was handed out, in a pack of so many cells."""
        ...

    def on_outcome(self, outcome: Outcome, record: Record | None) -> None:
        """A cell is over for this start of the sweep; `record` is what it left, if anything."""
        ...

    def on_concurrency_changed(self, concurrency: int) -> None:
        """So many cells, or packs of them, are computed at the same time from now on."""
        ...

    def on_message(self, text: str) -> None:
        """There is a line for people."""
        ...
