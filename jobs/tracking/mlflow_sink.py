"""The MetricSink that writes to MLflow: one run per cell, found again by its `cell_id` tag, with the metrics of the cell's journal (`journal.py`).

The training loop writes the journal; this sink sends what is new in it, in batches, every few seconds. When MLflow does not answer, training goes on, and the
next attempt comes later: in this process, in the next attempt at the cell, or at the start of the next sweep (`mlflow_repair.py`). Points up to the
last step that arrived are not sent twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.failures.outcome import Outcome
from jobs.tracking.journal import Journal, Point
from jobs.tracking.mlflow_setup import Tracking, connect
from loretta_core.config import CellConfig
from loretta_core.store.layout import ARRIVED_NAME
from loretta_core.store.output_dir import write_atomically
from loretta_core.train.sinks import JOURNAL_NAME

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CELL_TAG = "cell_id"
PARENT_ID_TAG = "mlflow.parentRunId"
OUT_TAG = "loretta.out"
"""Tag with the output directory: several may share a tracking server and the name of a sweep."""

PACK_TAG = "pack_id"
"""Tag that the runs of cells that were computed together share."""

BATCH = 1000
"""Most metrics in one request."""

FLUSH_S = 5.0
RETRY_S = 30.0
"""Seconds to wait after a tracking store did not answer."""

_RUN_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "stopped": "KILLED"}

_FAILURE_TAGS = {"failure", "reason"}


class MlflowSink:
    """The MLflow run of one cell.

    Args:
        directory: the cell's directory, with its journal. A step is written there before it is logged here.
        pack_id: id of the pack that the cell is computed in; "" for a cell by itself.
    """

    def __init__(self, tracking: Tracking, cell: CellConfig, *, directory: Path, pack_id: str = "") -> None:
        self._tracking = tracking
        self._cell = cell
        self._directory = directory
        self._pack_id = pack_id
        self._journal = Journal(directory / JOURNAL_NAME)
        self._client: MlflowClient | None = None
        self._run_id = ""
        self._sent_to: dict[str, int] = {}
        """Metric → last step that MLflow has."""
        self._unsent: list[Point] = []
        """Read from the journal and not yet sent."""
        self._next_flush = time.monotonic() + FLUSH_S
        self.problem = ""
        """The reason why metrics are missing in MLflow; "" when none are."""

    def open(self) -> MlflowClient:
        """Connect and find or create the cell's run, once; it is RUNNING from now on."""
        if self._client is None:
            client = connect(self._tracking.uri)
            run = find_run(client, self._tracking, self._cell.cell_id)
            if run is None:
                run = _create(client, self._tracking, self._cell)
            else:
                client.update_run(run.info.run_id, status="RUNNING")
                for name in {*_FAILURE_TAGS, PACK_TAG} & run.data.tags.keys():  # of an earlier attempt
                    client.delete_tag(run.info.run_id, name)
                self._sent_to = {name: _last_step(client, run, name) for name in run.data.metrics}
            if self._pack_id:
                client.set_tag(run.info.run_id, PACK_TAG, self._pack_id)
            self._run_id, self._client = run.info.run_id, client
        return self._client

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Send what is new in the journal, every few seconds; the step that is logged is in it."""
        if time.monotonic() >= self._next_flush:
            self._flush()

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        """Send the rest of the journal and end the run."""
        self._flush(status=_RUN_STATUS[status])

    def end_run(self, outcome: Outcome) -> None:
        """End the run of a cell that did not finish, tagged with the reason; `close` only knows that it failed."""
        kind = {"failed": outcome.kind, "stopped": "stopped early"}.get(outcome.status)
        tags = {"failure": kind, "reason": outcome.message[:4000]} if kind else {}
        self._flush(status=_RUN_STATUS[outcome.status], tags=tags)

    def _flush(self, *, status: str = "", tags: Mapping[str, str] | None = None) -> None:
        try:
            client = self.open()
            for name, value in (tags or {}).items():
                client.set_tag(self._run_id, name, value)
            self._send(client)
            if status:
                client.set_terminated(self._run_id, status=status)
            if status == _RUN_STATUS["finished"]:
                self._mark_synced()
        except Exception as error:  # a process edge: whatever the tracking store does, the cell goes on
            self.problem = f"MLflow does not take metrics ({type(error).__name__}); they are in {JOURNAL_NAME} and are sent by the next sweep that can"
            self._next_flush = time.monotonic() + RETRY_S
        else:
            self.problem = ""
            self._next_flush = time.monotonic() + FLUSH_S

    def _mark_synced(self) -> None:
        """Write into the cell's directory that all of its journal is in MLflow, and in which run."""
        where = {"run_id": self._run_id, "experiment_id": self._tracking.experiment_id}
        write_atomically(self._directory / ARRIVED_NAME, json.dumps(where))

    def _send(self, client: MlflowClient) -> None:
        from mlflow.entities import Metric

        self._unsent += self._journal.new_points()
        while self._unsent:
            fresh, sent_to = select_unsent(self._unsent[:BATCH], self._sent_to)
            if fresh:
                client.log_batch(self._run_id, metrics=[Metric(point.name, point.value, point.time_ms, point.step) for point in fresh])
            del self._unsent[:BATCH]
            self._sent_to = sent_to


def select_unsent(points: Iterable[Point], sent_to: Mapping[str, int]) -> tuple[list[Point], dict[str, int]]:
    """Return the points beyond the last step of their metric that MLflow has, once each, and the last steps after them. Final numbers are always sent: an
    earlier attempt may have sent others."""
    fresh, reached = [], dict(sent_to)
    for point in points:
        if point.final or point.step > reached.get(point.name, -1):
            fresh.append(point)
            reached[point.name] = max(point.step, reached.get(point.name, -1))
    return fresh, reached


def find_run(client: MlflowClient, tracking: Tracking, cell_id: str) -> Run | None:
    """Return the run of a cell in the sweep's experiment, None if there is none."""
    found = client.search_runs([tracking.experiment_id], filter_string=f"tags.`{CELL_TAG}` = '{cell_id}'", max_results=1)
    return found[0] if found else None


def close_run(tracking: Tracking, cell: CellConfig, outcome: Outcome, *, directory: Path) -> None:
    """End the run of a cell whose process is gone, and send what is left of its journal."""
    MlflowSink(tracking, cell, directory=directory).end_run(outcome)


def flatten(table: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Return nested tables as one, with dotted names."""
    leaves: dict[str, Any] = {}
    for key, value in table.items():
        leaves.update(flatten(value, prefix=f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return leaves


def _create(client: MlflowClient, tracking: Tracking, cell: CellConfig) -> Run:
    from mlflow.entities import Param

    tags = {
        CELL_TAG: cell.cell_id,
        OUT_TAG: tracking.out,
        PARENT_ID_TAG: tracking.parent_run_id,
        "model": cell.model.caption,
        "task": cell.task.type,
        "method": cell.method.short_name,
        "trainer": cell.trainer.type,
        "seed": str(cell.seed),
    }
    run = client.create_run(tracking.experiment_id, tags=tags, run_name=cell.label)
    params = [Param(name, str(value)[:500]) for name, value in flatten(cell.to_dict()).items()]
    for start in range(0, len(params), 100):
        client.log_batch(run.info.run_id, params=params[start : start + 100])
    return run


def _last_step(client: MlflowClient, run: Run, name: str) -> int:
    return max((point.step for point in client.get_metric_history(run.info.run_id, name)), default=-1)
