"""The MetricSink that writes MLflow: one run per cell, found again by its `cell_id` tag.

Metrics are buffered and sent in batches, so the training loop rarely waits; when MLflow does not answer, training goes on, the buffer grows, and the next
attempt comes later. Everything is also in the cell's metrics.jsonl and record, so nothing depends on MLflow being there. A cell that runs again
continues its run: points up to the last step that arrived are not sent twice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from jobs.outcome import Outcome
from jobs.tracking_db import Tracking, connect
from loretta_core.config import CellConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

CELL_TAG = "cell_id"

BATCH = 1000
"""Most metrics in one request."""

FLUSH_S = 5.0
RETRY_S = 30.0
"""How long to leave a tracking store alone that did not answer."""

_RUN_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


_FAILURE_TAGS = {"failure", "reason"}


class Point(NamedTuple):
    """One value of one metric."""

    name: str
    value: float
    time_ms: int
    step: int
    final: bool = False
    """A final number, not a point of a curve: sent even where an earlier attempt sent one."""


class MlflowSink:
    """The MLflow run of one cell."""

    def __init__(self, tracking: Tracking, cell: CellConfig) -> None:
        self._tracking = tracking
        self._cell = cell
        self._client: MlflowClient | None = None
        self._run_id = ""
        self._sent_to: dict[str, int] = {}
        """Metric → last step that an earlier attempt at this cell sent."""
        self._buffer: list[Point] = []
        self._next_flush = time.monotonic() + FLUSH_S
        self.problem = ""
        """Why metrics are missing in MLflow; empty when none are."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Buffer the metrics of a step; send now and then."""
        now_ms = int(time.time() * 1000)
        self._buffer += [Point(name, value, now_ms, step) for name, value in metrics.items()]
        if time.monotonic() >= self._next_flush:
            self._flush()

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        """Send the rest and end the run."""
        now_ms = int(time.time() * 1000)
        self._buffer += [Point(name, value, now_ms, 0, final=True) for name, value in summary.items() if math.isfinite(value)]
        self._flush(status=_RUN_STATUS[status])

    def end(self, outcome: Outcome) -> None:
        """Say why a run ended that did not finish; `close` only knows that it failed."""
        self._flush(status=_RUN_STATUS[outcome.status], tags={"failure": outcome.kind, "reason": outcome.message[:4000]})

    def _flush(self, *, status: str = "", tags: Mapping[str, str] | None = None) -> None:
        try:
            client = self._open()
            for name, value in (tags or {}).items():
                client.set_tag(self._run_id, name, value)
            while self._buffer:
                client.log_batch(self._run_id, metrics=self._new_points(self._buffer[:BATCH]))
                del self._buffer[:BATCH]
            if status:
                client.set_terminated(self._run_id, status=status)
        except Exception as error:  # a process edge: whatever the tracking store does, the cell goes on
            self.problem = f"{len(self._buffer)} metrics are not in MLflow ({type(error).__name__}); they are in metrics.jsonl"
            self._next_flush = time.monotonic() + RETRY_S
        else:
            self.problem = ""
            self._next_flush = time.monotonic() + FLUSH_S

    def _open(self) -> MlflowClient:
        if self._client is None:
            client = connect(self._tracking.uri)
            run = find_run(client, self._tracking, self._cell.cell_id)
            if run is None:
                run = _create(client, self._tracking, self._cell)
            else:
                client.update_run(run.info.run_id, status="RUNNING")
                for name in _FAILURE_TAGS & run.data.tags.keys():  # of an earlier attempt
                    client.delete_tag(run.info.run_id, name)
                self._sent_to = {name: _last_step(client, run, name) for name in run.data.metrics}
            self._run_id, self._client = run.info.run_id, client
        return self._client

    def _new_points(self, points: list[Point]) -> list[Metric]:
        from mlflow.entities import Metric

        fresh = [point for point in points if point.final or point.step > self._sent_to.get(point.name, -1)]
        return [Metric(point.name, point.value, point.time_ms, point.step) for point in fresh]


def find_run(client: MlflowClient, tracking: Tracking, cell_id: str) -> Run | None:
    """The run of a cell in the sweep's experiment."""
    found = client.search_runs([tracking.experiment_id], filter_string=f"tags.`{CELL_TAG}` = '{cell_id}'", max_results=1)
    return found[0] if found else None


def close_run(tracking: Tracking, cell: CellConfig, outcome: Outcome) -> None:
    """End the run of a cell from outside, when the process that wrote it is gone."""
    MlflowSink(tracking, cell).end(outcome)


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables → dotted names."""
    leaves: dict[str, Any] = {}
    for key, value in table.items():
        leaves.update(flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return leaves


def _create(client: MlflowClient, tracking: Tracking, cell: CellConfig) -> Run:
    from mlflow.entities import Param

    tags = {
        CELL_TAG: cell.cell_id,
        "mlflow.parentRunId": tracking.parent_run_id,
        "model": cell.model.caption,
        "task": cell.task.type,
        "method": cell.method.short_name,
        "trainer": cell.trainer.type,
        "seed": str(cell.seed),
    }
    run = client.create_run(tracking.experiment_id, tags=tags, run_name=cell.label)
    params = [Param(name, str(value)[:500]) for name, value in flat(cell.to_dict()).items()]
    for start in range(0, len(params), 100):
        client.log_batch(run.info.run_id, params=params[start : start + 100])
    return run


def _last_step(client: MlflowClient, run: Run, name: str) -> int:
    return max((point.step for point in client.get_metric_history(run.info.run_id, name)), default=-1)
