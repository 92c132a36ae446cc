"""The tracking stores of a sweep, whatever their library: protocols of what is supplied from the journals and records of its cells.

    Sink                          one store, opened for one sweep
    └── open_cell ► CellSink      one cell in it

A sink reads the output directory and nothing else; what it has sent completely it notes there (`loretta_core/store/notes/sent.py`). So one that breaks, is
killed or finds nobody there is supplied later, and what a store has is not sent twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jobs.failures.outcome import Outcome
from loretta_core.config import CellConfig
from loretta_core.store.layout import cell_directory
from loretta_core.store.notes.sent import find_sent

if TYPE_CHECKING:
    from loretta_core.report.compare import SweepComparison


class CellSink(Protocol):
    """One cell in one store."""

    problem: str
    """Why something is missing there; "" when nothing is."""

    def flush(self) -> None:
        """Send what is new. Raises nothing: what goes wrong is the `problem`."""
        ...

    def end_run(self, outcome: Outcome) -> None:
        """Send all of a cell that is over, and the note that it is there if it is finished. Raises nothing."""
        ...


class Sink(Protocol):
    """One store, opened for one sweep."""

    name: str
    """mlflow, tensorboard or wandb."""
    to: str
    """URI without credentials, or directory: what notes call it."""

    def open_cell(self, cell: CellConfig) -> CellSink:
        """Return the sink of a cell; nothing is sent yet."""
        ...

    def begin(self) -> None:
        """Repair what a killed driver left: runs that say that they run. May raise anything."""
        ...

    def publish(self, comparison: SweepComparison | None, *, complete: bool) -> None:
        """Send what the sweep has found, and end it there. May raise anything; may be repeated.

        Args:
            comparison: None where there is none, such as after an interruption.
            complete: the sweep is over, and not only this start of it.
        """
        ...


def unsynced_cells(out: Path, cells: Iterable[CellConfig], *, sink: str, to: str, sweep: str) -> list[CellConfig]:
    """Return those of the finished cells that a store is not known to have completely."""
    return [cell for cell in cells if find_sent(cell_directory(out, cell.cell_id), sink=sink, to=to, sweep=sweep) is None]
