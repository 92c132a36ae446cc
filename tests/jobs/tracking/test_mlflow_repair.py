"""Repair of MLflow after a killed driver, on real SQLite."""

import pytest

from jobs.tracking.mlflow_repair import close_orphan_runs
from jobs.tracking.mlflow_setup import Tracking, connect, prepare
from jobs.tracking.mlflow_sink import MlflowSink, find_run
from loretta_core.config import CellConfig
from loretta_core.store.layout import cell_directory

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
