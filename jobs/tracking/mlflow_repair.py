"""Repair of MLflow after a driver was killed: runs that say "running" although no process computes their cells end as KILLED.

A cell that the sweep computes later continues its run. The caller holds the output directory's lock, so no other driver computes these cells. (What MLflow
lacks of finished cells: `shipper.py`.)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.tracking.mlflow_setup import PARENT_TAG, Tracking, connect, default_uri, sqlite_uri
from jobs.tracking.mlflow_sink import CELL_TAG, OUT_TAG, PARENT_ID_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_RUNNING = "attributes.status = 'RUNNING'"


def close_orphan_runs(tracking: Tracking) -> int:
    """End the runs of this output directory that say "running" although no process computes them; returns how many."""
    client = connect(tracking.uri)
    orphans = _running_cells(client, [tracking.experiment_id], out=tracking.out)
    terminate_runs(client, [run.info.run_id for run in orphans])
    return len(orphans)


def find_orphan_runs(client: MlflowClient, out: Path) -> list[str]:
    """Return the ids of all runs of an output directory that say "running", of whatever sweep: cells, and their parents."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments(max_results=1000)]
    cells = _running_cells(client, experiments, out=str(out.resolve()))
    parents = {run.data.tags[PARENT_ID_TAG] for run in cells if PARENT_ID_TAG in run.data.tags}
    if default_uri(out) == sqlite_uri(out):  # no other directory's sweeps are in there
        parents |= {run.info.run_id for run in client.search_runs(experiments, filter_string=_RUNNING, max_results=1000) if PARENT_TAG in run.data.tags}
    return [*(run.info.run_id for run in cells), *sorted(parents)]


def terminate_runs(client: MlflowClient, run_ids: Iterable[str]) -> None:
    """End runs as KILLED."""
    for run_id in run_ids:
        client.set_terminated(run_id, status="KILLED")


def _running_cells(client: MlflowClient, experiments: list[str], *, out: str) -> list[Run]:
    ours = f"{_RUNNING} and tags.`{OUT_TAG}` = '{out}'"
    return [run for run in client.search_runs(experiments, filter_string=ours, max_results=1000) if CELL_TAG in run.data.tags]
