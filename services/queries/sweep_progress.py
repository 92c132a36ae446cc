"""Progress of a sweep: cells finished, failed, running and waiting, steps of the running ones from their journals, and the estimated time left.

The estimate takes what finished cells of the same method and trainer took, else of any, and as many at once as are running now; of a trained cell that lacks
its test score alone, what it took beside training. It knows nothing of queues.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loretta_core.report.rows import ResultRow
from loretta_core.store.layout import cell_directory

JOURNAL = "metrics.jsonl"

RUNNING_TIMEOUT_S = 120.0
"""A cell whose journal did not grow for so long does not count as running."""

_TAIL_BYTES = 4096


@dataclass(frozen=True)
class CellProgress:
    """A cell in training."""

    cell_id: str
    step: int
    steps: int | None
    """Number of all steps; None where the config counts epochs."""
    loss: float | None
    """Training loss of the last batch that was logged."""
    elapsed_s: float
    """Time since the cell wrote its settings."""


@dataclass(frozen=True)
class SweepProgress:
    """A sweep at one moment."""

    total: int
    finished: int
    failed: int
    stopped: int
    """Ended early by the sweep."""
    damaged: int
    """Cells of which a file cannot be read."""
    running: tuple[CellProgress, ...]
    eta_s: float | None
    """Seconds until the last cell is over; None when nothing is running or nothing is known."""

    @property
    def waiting(self) -> int:
        """Number of cells that are neither over nor running."""
        return self.total - self.finished - self.failed - self.stopped - self.damaged - len(self.running)


def read_progress(out: Path, rows: Sequence[ResultRow]) -> SweepProgress:
    """Return the progress of a sweep from the records in `rows` and the journals of the other cells."""
    statuses = Counter(row.status for row in rows)
    running = tuple(
        found for row in rows if row.status not in ("finished", "stopped early") and (found := _cell_progress(cell_directory(out, row.cell_id), row))
    )
    busy = {each.cell_id for each in running}
    failed, damaged = (sum(row.status == status and row.cell_id not in busy for row in rows) for status in ("failed", "damaged"))
    return SweepProgress(len(rows), statuses["finished"], failed, statuses["stopped early"], damaged, running, _estimate_left_s(rows, running))


def _cell_progress(directory: Path, row: ResultRow) -> CellProgress | None:
    journal = directory / JOURNAL
    try:
        began, touched = (directory / "cell.json").stat().st_mtime, journal.stat().st_mtime
    except OSError:
        return None
    now = time.time()
    if now - touched > RUNNING_TIMEOUT_S or ((row.record is not None or row.damage) and _record_time(directory) >= touched):
        return None
    step, loss = _last_step(journal)
    return CellProgress(row.cell_id, step, row.cell.trainer.model_dump().get("steps"), loss, max(0.0, now - began))


def _record_time(directory: Path) -> float:
    """Return when the record of an earlier attempt was written, 0 without one: a journal that is newer belongs to the next attempt."""
    try:
        return (directory / "record.json").stat().st_mtime
    except OSError:
        return 0.0


def _last_step(journal: Path) -> tuple[int, float | None]:
    """Return step and loss of the last complete line of a journal that has them, (0, None) without one."""
    try:
        with journal.open("rb") as file:
            file.seek(max(0, journal.stat().st_size - _TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return 0, None
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(step := entry.get("step"), int) and isinstance(loss := entry.get("train_loss"), int | float):
            return step, loss
    return 0, None


def _estimate_left_s(rows: Sequence[ResultRow], running: Sequence[CellProgress]) -> float | None:
    known: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row.record and row.status == "finished" and row.record.cost.wall_s:
            known.setdefault((row.labels["method"], row.labels["trainer"]), []).append(row.record.cost.wall_s)
    if not running or not known:
        return None
    usual = statistics.mean(value for values in known.values() for value in values)
    gone = {each.cell_id: each.elapsed_s for each in running}

    def expected(row: ResultRow) -> float:
        if row.record is not None and row.record.unscored:
            return row.record.cost.beside_training_s
        return statistics.mean(known.get((row.labels["method"], row.labels["trainer"]), [usual]))

    left = [
        max(1.0, expected(row) - gone.get(row.cell_id, 0.0))
        for row in rows
        if row.status == "not run" or (row.status in ("failed", "damaged") and row.cell_id in gone)
    ]
    return max(sum(left) / len(running), max(left))
