"""The status of a sweep's cells, read from the records on storage. The records are the truth; nothing else is asked.

    OUT/cells/<cell_id>/record.json     finished if and only if it is valid and says so, with a test score if the cell is to have one

What is asked for is (cell, split): a trial that was trained without test scores is finished for the sweep that tried it, and unscored for one that wants them.
Cells are shared by all sweeps of an output directory: a cell that another sweep finished is finished.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from loretta_core.config import CellConfig
from loretta_core.store.record_files import find_records
from loretta_core.store.records import Record


@dataclass(frozen=True)
class SweepStatus:
    """The records of a set of cells, by what they say."""

    finished: dict[str, Record]
    failed: dict[str, Record]
    """Cells that failed last time; they are tried again."""
    damaged: dict[str, str]
    """Cell id → what is wrong with its record; these run again too."""
    unscored: dict[str, Record] = field(default_factory=dict)
    """Cells that are trained and lack the test score that was asked for; a worker adds it without training again."""


def read_status(out: Path, cells: Iterable[CellConfig]) -> SweepStatus:
    """Read the records of the cells and sort them by status."""
    scored = {cell.cell_id: cell.score_test for cell in cells}
    found = find_records(out, scored)
    unscored = {cell_id: record for cell_id, record in found.records.items() if record.unscored and scored[cell_id]}
    finished = {cell_id: record for cell_id, record in found.records.items() if record.status == "finished" and cell_id not in unscored}
    failed = {cell_id: record for cell_id, record in found.records.items() if record.status == "failed"}
    return SweepStatus(finished, failed, found.damaged, unscored)


def refresh_status(out: Path, cells: Iterable[CellConfig], *, known: SweepStatus) -> SweepStatus:
    """Read the status again, but only of the cells that `known` has not as finished: a sweep may have ten thousand cells."""
    now = read_status(out, [cell for cell in cells if cell.cell_id not in known.finished])
    return SweepStatus({**known.finished, **now.finished}, now.failed, now.damaged, now.unscored)


def unfinished(out: Path, cells: Iterable[CellConfig]) -> list[CellConfig]:
    """Return the cells without a finished record, or without a test score that they are to have, in their order: those that a sweep would compute now."""
    cells = list(cells)
    finished = read_status(out, cells).finished
    return [cell for cell in cells if cell.cell_id not in finished]
