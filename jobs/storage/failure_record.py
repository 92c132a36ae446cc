"""The record of a cell that failed, with its traceback beside it.

OUT/cells/<cell_id>/record.json     status "failed", the class of the failure and its message
OUT/cells/<cell_id>/error.txt       the traceback of a failure that its message does not explain
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from jobs.failures.outcome import Outcome
from loretta_core.config import CellConfig
from loretta_core.store.layout import ARRIVED_NAME, cell_directory
from loretta_core.store.record_files import write_record
from loretta_core.store.records import Failure, Record, RunCost


def write_failure(out: Path, cell: CellConfig, outcome: Outcome) -> Record:
    """Write the record of a failed cell and its traceback; return the record."""
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
    """Delete the traceback of an earlier attempt, which explains nothing about this one, and the mark that all of its journal is in MLflow."""
    _trace_file(out, cell_id).unlink(missing_ok=True)
    (cell_directory(out, cell_id) / ARRIVED_NAME).unlink(missing_ok=True)


def _trace_file(out: Path, cell_id: str) -> Path:
    return cell_directory(out, cell_id) / "error.txt"
