"""Which cells of a sweep are done. The records on storage are the truth; nothing else is asked.

    OUT/cells/<cell_id>/record.json     finished if and only if it is valid and says so

Cells are shared by all sweeps of an output directory: a cell that another sweep finished is finished.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jobs.failures.outcome import Outcome
from loretta_core.config import CellConfig
from loretta_core.errors import ConfigError, OutputError
from loretta_core.store.layout import cell_directory
from loretta_core.store.record_files import RECORD_NAME, find_records, read_record, write_record
from loretta_core.store.records import Failure, Record, RunCost


@dataclass(frozen=True)
class SweepStatus:
    """Where a set of cells stands."""

    finished: dict[str, Record]
    failed: dict[str, Record]
    """Cells that failed last time; they are tried again."""
    damaged: dict[str, str]
    """cell id → what is wrong with its record; these run again too."""


def read_status(out: Path, cells: Iterable[CellConfig]) -> SweepStatus:
    """Read the records of the cells."""
    ids = [cell.cell_id for cell in cells]
    records = find_records(out, ids)
    finished = {cell_id: record for cell_id, record in records.items() if record.status == "finished"}
    failed = {cell_id: record for cell_id, record in records.items() if record.status == "failed"}
    return SweepStatus(finished, failed, {cell_id: _damage(out, cell_id) for cell_id in ids if cell_id not in records and _has_record(out, cell_id)})


def refresh_status(out: Path, cells: Iterable[CellConfig], *, known: SweepStatus) -> SweepStatus:
    """The same, some moments after `known`: only what was not finished then is read again. A sweep may have ten thousand cells."""
    now = read_status(out, [cell for cell in cells if cell.cell_id not in known.finished])
    return SweepStatus({**known.finished, **now.finished}, now.failed, now.damaged)


def unfinished(out: Path, cells: Iterable[CellConfig]) -> list[CellConfig]:
    """The cells that a sweep would compute now, in their order."""
    cells = list(cells)
    finished = read_status(out, cells).finished
    return [cell for cell in cells if cell.cell_id not in finished]


def resolve_cell_ids(cells: Sequence[CellConfig], ids: Iterable[str]) -> list[CellConfig]:
    """The cells with these ids, or first digits of one. Raises ConfigError for what names no cell, or several."""
    return [_named(cells, text) for text in ids]


def archive_cells(out: Path, cells: Iterable[CellConfig]) -> None:
    """Make the cells unfinished. What they have moves to OUT/replaced, where nobody looks for records and nothing is lost."""
    for cell in cells:
        directory = cell_directory(out, cell.cell_id)
        if directory.is_dir():
            target = out / "replaced" / f"{cell.cell_id}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
            target.parent.mkdir(exist_ok=True)
            directory.rename(target)


def write_failure(out: Path, cell: CellConfig, outcome: Outcome) -> Record:
    """Record a failed cell, with its traceback beside it in error.txt."""
    now = datetime.now(UTC)
    record = Record(
        cell_id=cell.cell_id,
        cell=cell.to_dict(),
        status="failed",
        error=Failure(kind=outcome.kind, message=outcome.message),
        cost=RunCost(wall_s=outcome.seconds),
        started_at=(now - timedelta(seconds=outcome.seconds)).isoformat(timespec="seconds"),
        finished_at=now.isoformat(timespec="seconds"),
    )
    write_record(record, cell_directory(out, cell.cell_id))
    clear_stale_outputs(out, cell.cell_id)
    if outcome.trace:
        _trace_file(out, cell.cell_id).write_text(outcome.trace, encoding="utf-8")
    return record


def clear_stale_outputs(out: Path, cell_id: str) -> None:
    """Delete the traceback of an earlier attempt: it explains nothing about this one."""
    _trace_file(out, cell_id).unlink(missing_ok=True)


def _named(cells: Sequence[CellConfig], text: str) -> CellConfig:
    found = [cell for cell in cells if text and cell.cell_id.startswith(text)]
    if len(found) != 1:
        count = f"{len(found)} cells" if found else "no cell"
        raise ConfigError(f"--rerun {text}: {count} of this sweep; give an id that `loretta sweep FILE --dry-run --json` shows, or enough of its first digits")
    return found[0]


def _trace_file(out: Path, cell_id: str) -> Path:
    return cell_directory(out, cell_id) / "error.txt"


def _has_record(out: Path, cell_id: str) -> bool:
    return (cell_directory(out, cell_id) / RECORD_NAME).exists()


def _damage(out: Path, cell_id: str) -> str:
    try:
        read_record(cell_directory(out, cell_id))
    except OutputError as error:
        return str(error)
    return "appeared just now"
