"""The MLflow run of a cell, on real SQLite: what it says, that no point is sent twice, and that a store that is away costs nothing."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from jobs.failures.outcome import Interrupted, Outcome
from jobs.failures.retry import outcome_of_error
from jobs.tracking import mlflow_sink
from jobs.tracking.facts.cell_facts import numbers
from jobs.tracking.mlflow_setup import Tracking, connect, prepare
from jobs.tracking.mlflow_sink import BATCH, MlflowSink, find_run
from loretta_core.config import CellConfig
from loretta_core.store.layout import cell_directory
from loretta_core.train.run import run_cell
from loretta_core.train.sinks import JOURNAL_NAME, JsonlSink

pytestmark = pytest.mark.integration

SUMMARY = {"score": 0.9, "trainable_params": 410.0}


@pytest.fixture
def tracking(mlflow_uri, out) -> Tracking:
    return prepare(mlflow_uri, name="small", out=out)


@pytest.fixture
def run_of(tracking):
    """The MLflow run of a cell."""

    def find(cell):
        run = find_run(connect(tracking.uri), tracking, cell.cell_id)
        assert run is not None
        return run

    return find


@pytest.fixture
def history(tracking, run_of):
    """Steps of a metric, in the order in which they arrived."""

    def steps(cell, name: str) -> list[int]:
        return [point.step for point in connect(tracking.uri).get_metric_history(run_of(cell).info.run_id, name)]

    return steps


class Attempt:
    """One attempt at a cell: a step goes to the journal first and then to the sink, as in `run_cell`."""

    def __init__(self, tracking: Tracking, cell: CellConfig, directory: Path) -> None:
        self.journal, self.sink = JsonlSink(directory / JOURNAL_NAME), MlflowSink(tracking, cell, directory=directory)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.journal.log(step, metrics)
        self.sink.log(step, metrics)

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        self.journal.close(status, summary)
        self.sink.close(status, summary)

    @property
    def problem(self) -> str:
        return self.sink.problem


@pytest.fixture
def begin(tracking, out):
    begun: list[Attempt] = []

    def attempt(cell: CellConfig, at: Tracking = tracking) -> Attempt:
        begun.append(Attempt(at, cell, cell_directory(out, cell.cell_id)))
        return begun[-1]

    yield attempt
    for each in begun:
        each.journal.file.close()  # as the end of a killed process does


def train(sink: Attempt, steps: range) -> None:
    for step in steps:
        sink.log(step, {"train_loss": 1.0 / (step + 1)})


def test_a_finished_cell_is_one_child_run_that_says_everything(cell, tracking, run_of, history, begin):
    the_cell = cell("method=loretta_adp", "method.tensor_rank=4", "seed=3")
    sink = begin(the_cell)
    train(sink, range(5))
    sink.close("finished", SUMMARY)
    run = run_of(the_cell)
    tags = {name: run.data.tags[name] for name in ("model", "task", "method", "trainer", "seed", "cell_id", "mlflow.parentRunId")}
    assert tags == {
        "model": "toy-bert",
        "task": "toy_sentiment",
        "method": "loretta_adp",
        "trainer": "adam",
        "seed": "3",
        "cell_id": the_cell.cell_id,
        "mlflow.parentRunId": tracking.parent_run_id,
    }
    assert run.data.params["method.tensor_rank"] == "4"
    assert run.data.params["task.test_rows"] == "1000"  # defaults too
    assert run.data.metrics == {"train_loss": 0.2, **SUMMARY, **numbers(the_cell)}
    assert "None" not in run.data.params.values()
    assert history(the_cell, "train_loss") == [0, 1, 2, 3, 4]
    assert (run.info.status, run.info.run_name) == ("FINISHED", the_cell.label)


def test_the_training_loop_does_not_wait_for_the_store(cell, monkeypatch, begin):
    monkeypatch.setattr(mlflow_sink, "connect", lambda uri: pytest.fail("a step waited for MLflow"))
    train(begin(cell()), range(1000))


def test_points_are_sent_now_and_then(cell, history, monkeypatch, begin):
    monkeypatch.setattr(mlflow_sink, "FLUSH_S", 0.0)
    train(begin(cell()), range(3))
    assert history(cell(), "train_loss") == [0, 1, 2]


def test_more_points_than_a_request_holds(cell, history, begin):
    sink = begin(cell())
    train(sink, range(2 * BATCH + 1))
    sink.close("finished", SUMMARY)
    assert history(cell(), "train_loss") == list(range(2 * BATCH + 1))


def test_a_cell_that_goes_on_continues_its_run_and_sends_no_point_twice(cell, tracking, run_of, history, begin):
    killed = begin(cell())
    train(killed, range(4))
    killed.close("failed", {})
    killed.sink.end_run(outcome_of_error(cell().cell_id, Interrupted("the sweep was stopped at step 3"), seconds=1.0))
    first = run_of(cell())
    assert first.info.status == "KILLED"

    resumed = begin(cell())
    train(resumed, range(2, 6))  # its last checkpoint was at step 2
    resumed.close("finished", SUMMARY)
    assert run_of(cell()).info.run_id == first.info.run_id
    assert run_of(cell()).info.status == "FINISHED"
    assert history(cell(), "train_loss") == [0, 1, 2, 3, 4, 5]
    assert len(connect(tracking.uri).search_runs([tracking.experiment_id])) == 2  # this one and the parent


def test_final_numbers_are_sent_by_every_attempt(cell, run_of, begin):
    begin(cell()).close("finished", {"score": 0.5})
    begin(cell()).close("finished", {"score": 0.9})
    assert run_of(cell()).data.metrics["score"] == 0.9


def test_a_trial_has_no_test_metrics_until_it_is_scored(cell, tracking, run_of, history, out):
    few = ("task.train_rows=16", "task.validation_rows=8", "task.test_rows=8", "trainer.steps=2", "trainer.eval_every=1")
    wanted = cell(*few)
    directory = cell_directory(out, wanted.cell_id)
    run_cell(wanted.model_copy(update={"score_test": False}), directory=directory, sinks=[MlflowSink(tracking, wanted, directory=directory)])
    trial = run_of(wanted)
    assert not {"score", "score_low", "score_high", "initial_score"} & trial.data.metrics.keys()
    assert {"best_validation_score", "validation_score", "train_loss"} <= trial.data.metrics.keys()

    record = run_cell(wanted, directory=directory, sinks=[MlflowSink(tracking, wanted, directory=directory)])
    scored = run_of(wanted)
    assert (scored.info.run_id, scored.info.status) == (trial.info.run_id, "FINISHED")
    (model,) = connect(tracking.uri).search_logged_models([tracking.experiment_id])
    assert {metric.key: metric.value for metric in model.metrics}["score"] == record.score.value  # one model, with the score that came later
    assert (scored.data.metrics["score"], scored.data.metrics["initial_score"]) == (record.score.value, record.score.initial)
    assert history(wanted, "train_loss") == [1, 2]


def test_a_failure_says_why_and_a_later_success_takes_it_back(cell, run_of, begin):
    sink = begin(cell())
    sink.close("failed", {})
    sink.sink.end_run(Outcome(cell().cell_id, "failed", kind="nan", message="the loss is nan at step 3"))
    failed = run_of(cell())
    assert (failed.info.status, failed.data.tags["failure"], failed.data.tags["reason"]) == ("FAILED", "nan", "the loss is nan at step 3")
    begin(cell()).close("finished", SUMMARY)
    mended = run_of(cell())
    assert mended.info.status == "FINISHED"
    assert not {"failure", "reason"} & mended.data.tags.keys()


def test_the_run_of_a_dead_process_is_ended_from_outside(cell, tracking, run_of, history, monkeypatch, begin, out):
    monkeypatch.setattr(mlflow_sink, "FLUSH_S", 0.0)
    train(begin(cell()), range(2))
    died = Outcome(cell().cell_id, "failed", kind="infrastructure", message="the worker process died")
    MlflowSink(tracking, cell(), directory=cell_directory(out, cell().cell_id)).end_run(died)
    assert (run_of(cell()).info.status, run_of(cell()).data.tags["failure"]) == ("FAILED", "infrastructure")
    assert history(cell(), "train_loss") == [0, 1]


def test_numbers_that_are_none_are_stored_as_such(cell, run_of, begin):
    sink = begin(cell())
    sink.log(0, {"train_loss": float("nan")})
    sink.close("failed", {"score": float("inf")})
    assert sink.problem == ""
    assert run_of(cell()).data.metrics["train_loss"] != run_of(cell()).data.metrics["train_loss"]
    assert "score" not in run_of(cell()).data.metrics


def test_training_goes_on_without_a_server(cell, dead_server, monkeypatch, begin):
    monkeypatch.setattr(mlflow_sink, "FLUSH_S", 0.0)
    sink = begin(cell(), Tracking(dead_server, "1", "0" * 32))
    started = time.monotonic()
    train(sink, range(500))  # asks once, and then leaves the server alone for a while
    assert time.monotonic() - started < 5
    sink.close("finished", SUMMARY)
    sink.sink.end_run(Outcome(cell().cell_id, "failed", kind="nan", message="nan"))
    assert sink.problem == "MLflow does not take metrics (MlflowException); they are in metrics.jsonl and are sent by the next sweep that can"


def test_a_server_that_comes_back_gets_everything_once(cell, history, monkeypatch, begin):
    monkeypatch.setattr(mlflow_sink, "FLUSH_S", 0.0)
    monkeypatch.setattr(mlflow_sink, "RETRY_S", 0.0)
    up = True

    def flaky(uri: str):
        client = connect(uri)
        send = client.log_batch

        def log_batch(*arguments, **options):
            if not up:
                raise ConnectionError("down")
            return send(*arguments, **options)

        monkeypatch.setattr(client, "log_batch", log_batch)
        return client

    monkeypatch.setattr(mlflow_sink, "connect", flaky)
    sink = begin(cell())
    train(sink, range(3))
    up = False
    train(sink, range(3, 6))
    assert "MLflow does not take metrics (ConnectionError)" in sink.problem
    up = True
    train(sink, range(6, 8))
    assert sink.problem == ""
    sink.close("finished", SUMMARY)
    assert history(cell(), "train_loss") == list(range(8))


def test_points_of_a_killed_process_are_sent_by_the_next_attempt(cell, begin, history):
    train(begin(cell()), range(4))  # killed before anything was sent; its checkpoint was at step 2
    resumed = begin(cell())
    train(resumed, range(2, 6))
    resumed.close("finished", SUMMARY)
    assert history(cell(), "train_loss") == [0, 1, 2, 3, 4, 5]
