"""What a driver that was killed, or a tracking server that was away, left undone in MLflow, put right at the start of the next sweep.

    finished cell, journal not all in MLflow        the rest is sent, the run ends as FINISHED
    run "running" of this output directory,         ends as KILLED; a cell that this sweep computes continues it
    and nobody computes its cell

The caller holds the output directory's lock, so no other driver is at work on these cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from jobs.ledger import cell_directory
from jobs.mlflow_sink import ARRIVED_NAME, CELL_TAG, OUT_TAG, MlflowSink
from jobs.tracking_db import Tracking, connect
from loretta_core.config import CellConfig


def not_arrived(out: Path, cells: Iterable[CellConfig]) -> list[CellConfig]:
    """Those of the finished cells whose journal is not known to be in MLflow."""
    return [cell for cell in cells if not (cell_directory(out, cell.cell_id) / ARRIVED_NAME).is_file()]


def send_late(tracking: Tracking, *, out: Path, cells: Sequence[CellConfig]) -> str:
    """Send the journals of finished cells. Returns what went wrong, or ""."""
    for cell in cells:
        sink = MlflowSink(tracking, cell, directory=cell_directory(out, cell.cell_id))
        sink.close("finished", {})
        if sink.problem:
            return sink.problem
    return ""


def end_abandoned(tracking: Tracking) -> int:
    """End the runs of this output directory that say "running"; returns how many."""
    client = connect(tracking.uri)
    ours = f"attributes.status = 'RUNNING' and tags.`{OUT_TAG}` = '{tracking.out}'"
    abandoned = [run for run in client.search_runs([tracking.experiment_id], filter_string=ours, max_results=1000) if CELL_TAG in run.data.tags]
    for run in abandoned:
        client.set_terminated(run.info.run_id, status="KILLED")
    return len(abandoned)
