"""The MLflow run of a cell: one per cell and sweep, found again by its `cell_id` tag, with what the cell's directory holds.

    while it trains    params, settings to filter by, tags, and the metrics of the cell's journals (`journal.py`), in batches every few seconds
    when it is over    environment, data sets, artifacts and the logged model (`logged_model.py`), the final numbers, and the times of the cell itself

Everything is read from the directory, so it can be sent by whoever and whenever: by the driver while cells run (`shipper.py`), by the next sweep, by `loretta
sync`, or by the process that computes the cell, as its MetricSink. What MLflow has already is not sent twice: points up to the last step that arrived, params,
and models are looked up. When MLflow does not answer, the next attempt comes later.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.failures.outcome import Outcome
from jobs.tracking.facts import cell_facts
from jobs.tracking.facts.cell_times import ended_ms, started_ms
from jobs.tracking.facts.sweep_facts import Part, SweepFacts
from jobs.tracking.journal import Journal, Point, select_unsent
from jobs.tracking.mlflow_setup import Tracking, connect
from jobs.tracking.models import logged_model
from loretta_core.config import CellConfig
from loretta_core.errors import OutputError
from loretta_core.store.notes.sent import Sent, note_sent, without_credentials
from loretta_core.store.record_files import read_record
from loretta_core.store.records import Record
from loretta_core.train.sinks import JOURNAL_NAME, SYSTEM_JOURNAL_NAME

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, Metric, Run

CELL_TAG = "cell_id"
PARENT_ID_TAG = "mlflow.parentRunId"
OUT_TAG = "loretta.out"
"""Tag with the output directory: several may share a tracking server and the name of a sweep."""

NOTE_TAG = "mlflow.note.content"
"""MLflow's tag of a description, Markdown."""

BATCH = 1000
"""Most metrics in one request."""

PARAM_LENGTH = 6000
TAG_LENGTH = 5000
"""Most characters that MLflow keeps of a value."""

FLUSH_S = 5.0
RETRY_S = 30.0
"""Seconds to wait after a tracking store did not answer."""

SCORED_ON = dict.fromkeys(("score", "score_low", "score_high", "initial_score"), "test") | {"best_validation_score": "validation"}
"""Final number → the split that it is of."""

_RUN_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "stopped": "KILLED"}

_ATTEMPT_TAGS = {"failure", "reason", "pack_id"}
"""Tags of one attempt, which the next one takes back."""


class MlflowSink:
    """The MLflow run of one cell.

    Args:
        directory: the cell's directory, with its journals. A step is written there before it is logged here.
        facts: the cell's part in its sweep; None reads the manifest of the output directory.
    """

    def __init__(self, tracking: Tracking, cell: CellConfig, *, directory: Path, facts: SweepFacts | None = None) -> None:
        self._tracking = tracking
        self._cell = cell
        self._directory = directory
        self._facts = facts or SweepFacts(directory.parents[1], name=tracking.sweep)
        self._journal = Journal(directory / JOURNAL_NAME)
        self._system_journal = Journal(directory / SYSTEM_JOURNAL_NAME)
        self._client: MlflowClient | None = None
        self._run_id = ""
        self._known: dict[str, float] = {}
        """Metrics that the run had when it was found."""
        self._sent_to: dict[str, int] = {}
        """Metric → last step that MLflow has."""
        self._unsent: list[Point] = []
        """Read from the journals and not yet sent."""
        self._final: list[Point] = []
        """Final numbers, which are sent when the logged model that they belong to is there."""
        self._next_flush = time.monotonic() + FLUSH_S
        self.problem = ""
        """The reason why metrics are missing in MLflow; "" when none are."""

    def open(self) -> MlflowClient:
        """Connect and find or create the cell's run, once; it is RUNNING from now on."""
        if self._client is None:
            client = connect(self._tracking.uri)
            self._read_journals()
            start = started_ms(self._directory, first_point_ms=self._journal.first_ms)
            run = _current(client, find_run(client, self._tracking, self._cell.cell_id), start_ms=start)
            if run is None:
                run = self._create(client, start)
            else:
                client.update_run(run.info.run_id, status="RUNNING")
                for name in _ATTEMPT_TAGS & run.data.tags.keys():
                    client.delete_tag(run.info.run_id, name)
                self._known = run.data.metrics
            self._run_id, self._client = run.info.run_id, client
        return self._client

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Send what is new in the journals, every few seconds; the step that is logged is in them."""
        if time.monotonic() >= self._next_flush:
            self.flush()

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        """Send the rest and end the run."""
        self._try_to_send(_RUN_STATUS[status])

    def flush(self) -> None:
        """Send what is new in the journals now."""
        self._try_to_send()

    def end_run(self, outcome: Outcome) -> None:
        """End the run of a cell as its outcome says; one that did not finish is tagged with the reason, which `close` does not know."""
        kind = {"failed": outcome.kind, "stopped": "stopped early"}.get(outcome.status)
        self._try_to_send(_RUN_STATUS[outcome.status], tags={"failure": kind, "reason": outcome.message} if kind else {})

    def _try_to_send(self, status: str = "", *, tags: Mapping[str, str] | None = None) -> None:
        try:
            client = self.open()
            self._read_journals()
            if status == _RUN_STATUS["finished"]:
                self._finish(client, _record(self._directory))
            else:
                self._send(client, self._unsent)
            if tags:
                client.log_batch(self._run_id, tags=run_tags(tags))
            if status:
                client.set_terminated(self._run_id, status=status, end_time=ended_ms(self._directory, last_point_ms=self._journal.last_ms))
        except Exception as error:  # a process edge: whatever the tracking store does, the cell goes on
            self.problem = f"MLflow does not take metrics ({type(error).__name__}); they are in {JOURNAL_NAME} and are sent by the next sweep that can"
            self._next_flush = time.monotonic() + RETRY_S
        else:
            self.problem = ""
            self._next_flush = time.monotonic() + FLUSH_S

    def _finish(self, client: MlflowClient, record: Record | None) -> None:
        """Send all of a finished cell, the note that it is there last. Without a record, metrics alone."""
        self._send(client, self._unsent)
        if record is None:
            self._send(client, self._final)
            return
        tracking, part = self._tracking, self._facts.part(self._cell)
        said = cell_facts.environment_tags(record) | cell_facts.result_tags(record) | {**part.tags, NOTE_TAG: run_note(tracking, self._cell, part)}
        client.log_batch(self._run_id, tags=run_tags(said))
        client.update_run(self._run_id, name=part.name)
        data = logged_model.data_inputs(self._cell, record)
        if data:
            client.log_inputs(self._run_id, data)
        place = logged_model.RunPlace(tracking, self._run_id, self._directory)
        logged_model.send_artifacts(client, place, cell=self._cell, record=record)
        model_id = logged_model.send_model(client, place, cell=self._cell, record=record, part=part)
        self._send(client, self._final, model_id=model_id, data=data)
        to = without_credentials(tracking.uri)
        note_sent(
            self._directory,
            Sent(
                sink="mlflow",
                to=to,
                sweep=tracking.sweep,
                run_id=self._run_id,
                experiment_id=tracking.experiment_id,
                model_id=model_id,
                facts=part.digest,
            ),
        )

    def _read_journals(self) -> None:
        for point in (*self._journal.new_points(), *self._system_journal.new_points()):
            (self._final if point.final else self._unsent).append(point)

    def _send(self, client: MlflowClient, points: list[Point], *, model_id: str = "", data: Sequence[DatasetInput] = ()) -> None:
        """Send points in batches, and forget each batch when it has arrived. With a model, they are its numbers, too, on the split that they are of."""
        splits = {each.tags[0].value: each.dataset for each in data}
        while points:
            self._look_up(client, {point.name for point in points[:BATCH] if not point.final})
            fresh, sent_to = select_unsent(points[:BATCH], self._sent_to)
            if fresh:
                client.log_batch(self._run_id, metrics=[_metric(point, model_id, splits.get(SCORED_ON.get(point.name, ""))) for point in fresh])
            del points[:BATCH]
            self._sent_to = sent_to

    def _look_up(self, client: MlflowClient, names: set[str]) -> None:
        """Learn the last steps of those metrics that the run had when it was found."""
        for name in (names & self._known.keys()) - self._sent_to.keys():
            self._sent_to[name] = max((point.step for point in client.get_metric_history(self._run_id, name)), default=-1)

    def _create(self, client: MlflowClient, start: int) -> Run:
        from mlflow.entities import Metric, Param

        part = self._facts.part(self._cell)
        said = {
            CELL_TAG: self._cell.cell_id,
            OUT_TAG: self._tracking.out,
            PARENT_ID_TAG: self._tracking.parent_run_id,
            **cell_facts.tags(self._cell),
            **part.tags,
            **self._tracking.source_tags,
        }
        run = client.create_run(self._tracking.experiment_id, start_time=start, tags=said, run_name=part.name)
        params = [Param(name, value[:PARAM_LENGTH]) for name, value in cell_facts.params(self._cell).items()]
        numbers = [Metric(name, value, start, 0) for name, value in cell_facts.numbers(self._cell).items()]
        for first in range(0, len(params), 100):
            client.log_batch(run.info.run_id, params=params[first : first + 100], metrics=numbers if first == 0 else ())
        return run


def _metric(point: Point, model_id: str, data: Dataset | None) -> Metric:
    from mlflow.entities import Metric

    scored = {"dataset_name": data.name, "dataset_digest": data.digest} if data is not None and model_id else {}
    return Metric(point.name, point.value, point.time_ms, point.step, model_id=model_id or None, **scored)


def find_run(client: MlflowClient, tracking: Tracking, cell_id: str) -> Run | None:
    """Return the run of a cell in the sweep's experiment, None if there is none."""
    found = client.search_runs([tracking.experiment_id], filter_string=f"tags.`{CELL_TAG}` = '{cell_id}'", max_results=1)
    return found[0] if found else None


def run_tags(tags: Mapping[str, str]) -> Sequence:
    """Return tags as MLflow takes them, cut to what it keeps."""
    from mlflow.entities import RunTag

    return [RunTag(name, value[:TAG_LENGTH]) for name, value in tags.items()]


def run_note(tracking: Tracking, cell: CellConfig, part: Part) -> str:
    """Return the description of a cell's run: what it is, and the way to its sweep, whose run has the verdict and the report."""
    role = {"trial": ", a trial, judged on validation rows alone", "replicate": ", scored on the test rows"}.get(part.tags.get("role", ""), "")
    parent = f"#/experiments/{tracking.experiment_id}/runs/{tracking.parent_run_id}"
    verdict = f"Verdict on its contender, {part.tags['contender']}: {part.tags['verdict']}.\n\n" if {"verdict", "contender"} <= part.tags.keys() else ""
    return f"{part.name}, {cell.model.caption} on {cell.task.type}{role}.\n\n{verdict}Sweep with verdict and report: [{tracking.sweep}]({parent})"


def _current(client: MlflowClient, run: Run | None, *, start_ms: int) -> Run | None:
    """Return the run that was found, unless the cell began anew after it had ended (`--rerun`): then it goes to MLflow's trash."""
    if run is None or run.info.end_time is None or start_ms <= run.info.end_time:
        return run
    client.delete_run(run.info.run_id)
    return None


def _record(directory: Path) -> Record | None:
    try:
        record = read_record(directory)
    except OutputError:
        return None
    return record if record.status == "finished" else None
