"""Repair of MLflow after a killed driver, or an unreachable tracking server, on real SQLite."""

import pytest

from jobs.tracking.mlflow_repair import close_orphan_runs, sync, unsynced_cells
from jobs.tracking.mlflow_setup import Tracking, connect, prepare
from jobs.tracking.mlflow_sink import MlflowSink, find_run
from loretta_core.config import CellConfig
from loretta_core.store.layout import cell_directory
from loretta_core.train.sinks import JOURNAL_NAME, JsonlSink

pytestmark = pytest.mark.integration


@pytest.fixture
def tracking(mlflow_uri, out) -> Tracking:
    return prepare(mlflow_uri, name="small", out=out)


@pytest.fixture
def status(tracking):
    def find(cell: CellConfig) -> str:
        run = find_run(connect(tracking.uri), tracking, cell.cell_id)
        assert run is not None
        return run.info.status

    return find


@pytest.fixture
def open_run(tracking, out):
    """A run that says "running", with one point in it; its process is gone."""

    def leave(cell: CellConfig, *, out=out, tracking=tracking) -> None:
        sink = MlflowSink(tracking, cell, directory=cell_directory(out, cell.cell_id))
        sink.open()

    return leave


def test_a_finished_cell_that_mlflow_knows_nothing_of_is_sent_whole_and_once(cell, out, tracking, status):
    journal = JsonlSink(cell_directory(out, cell().cell_id) / JOURNAL_NAME)
    for step in range(3):
        journal.log(step, {"train_loss": 1.0 / (step + 1)})
    journal.close("finished", {"score": 0.9})
    assert unsynced_cells(out, [cell()]) == [cell()]
    for _ in range(2):
        assert sync(tracking, out=out, cells=[cell()]) == ""
    run = find_run(connect(tracking.uri), tracking, cell().cell_id)
    assert status(cell()) == "FINISHED"
    assert run.data.metrics == {"train_loss": 1 / 3, "score": 0.9}
    assert len(connect(tracking.uri).get_metric_history(run.info.run_id, "train_loss")) == 3
    assert len(connect(tracking.uri).get_metric_history(run.info.run_id, "score")) == 1
    assert unsynced_cells(out, [cell()]) == []


def test_a_server_that_is_still_away_is_said(cell, out, dead_server):
    assert "MLflow does not take metrics" in sync(Tracking(dead_server, "1", "0" * 32), out=out, cells=[cell()])
    assert unsynced_cells(out, [cell()]) == [cell()]


def test_runs_that_nobody_computes_are_ended(cell, out, tracking, status, open_run):
    open_run(cell())
    assert close_orphan_runs(tracking) == 1
    assert status(cell()) == "KILLED"
    assert close_orphan_runs(tracking) == 0
    assert connect(tracking.uri).get_run(tracking.parent_run_id).info.status == "RUNNING"  # of the driver that asks


def test_runs_of_another_output_directory_go_on(cell, tracking, mlflow_uri, tmp_path, status, open_run):
    (tmp_path / "elsewhere").mkdir()
    other = prepare(mlflow_uri, name="small", out=tmp_path / "elsewhere")
    open_run(cell(), out=tmp_path / "elsewhere", tracking=other)
    assert close_orphan_runs(tracking) == 0
    assert status(cell()) == "RUNNING"
