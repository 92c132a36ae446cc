"""A finished sweep goes to an MLflow server, on SQLite and on PostgreSQL, and to PostgreSQL itself: all of it, once, also when the server dies on the way."""

import os
import signal
import subprocess
import sys

import pytest

from jobs.sync import main, sync
from jobs.tracking.mlflow_setup import connect
from loretta_core.config.sweep.load import resolve_sweep
from loretta_core.store.manifest import write_manifest
from loretta_core.store.notes.sent import read_sent
from loretta_core.store.output_dir import check_output_dir
from tests.jobs.tracking.conftest import TINY
from tests.paths import ROOT
from tests.services.scenarios.test_stores import postgresql
from tests.services.serving import child_processes, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def swept(tmp_path):
    from loretta_core.train.run import run_cell

    out, sweep = tmp_path / "swept", resolve_sweep(TINY)
    check_output_dir(out)
    write_manifest(out, sweep=sweep)
    for cell in sweep.cells:
        run_cell(cell, directory=out / "cells" / cell.cell_id)
    return out


def check(uri, out):
    """Everything is there once."""
    client = connect(uri)
    experiment = client.get_experiment_by_name("small").experiment_id
    runs = client.search_runs([experiment], "tags.cell_id != ''")
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == len(client.search_logged_models([experiment])) == 2
    for run in runs:
        assert [point.step for point in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2]
        assert len(client.get_metric_history(run.info.run_id, "score")) == 1
        assert len(run.inputs.dataset_inputs) == 3
        assert "adapter" in {file.path for file in client.list_artifacts(run.info.run_id)}
    (slow,) = client.search_runs([experiment], "metrics.`trainer.lr` < 5e-4 and metrics.`trainer.lr` > 0")
    assert slow.data.params["trainer.lr"] == "0.0001"
    best, *_ = client.search_logged_models([experiment], order_by=[{"field_name": "metrics.score", "ascending": False}])
    assert best.status == "READY"


def forget(out):
    """As if the process had been killed before its notes."""
    for note in out.rglob("sent.json"):
        note.unlink()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_server_gets_all_of_it_once(kind, swept, tmp_path):
    def through(environment):
        with serving(tmp_path / "server", environment=environment) as (process, lines):
            uri = lines[1].split("MLflow UI: ")[1].split()[0]
            sync(swept, tracking_uri=uri)
            check(uri, swept)
            forget(swept)
            for pid in child_processes(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait(timeout=60)
        assert main([str(swept), "--tracking-uri", uri]) in (2, 3)  # it is away
        with serving(tmp_path / "server", environment=environment) as (_, lines):  # and back, with another port
            uri = lines[1].split("MLflow UI: ")[1].split()[0]
            command = [sys.executable, "-m", "jobs.sync", str(swept), "--tracking-uri", uri]  # MLflow keeps the address of a run's artifacts for a process
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
            assert (done.returncode, done.stdout) == (0, f"small: 2 finished cells in mlflow at {uri}\n"), done.stderr
            check(uri, swept)

    if kind == "sqlite":
        through({})
        return
    with postgresql(tmp_path) as url:
        through({"LORETTA_STORE": url})


def test_postgresql_itself_gets_all_of_it_and_its_password_is_written_nowhere(swept, tmp_path):
    with postgresql(tmp_path) as url:
        uri = url.replace("postgresql://", "postgresql+psycopg2://")
        for _ in range(2):
            sync(swept, tracking_uri=uri)
            check(uri, swept)
            notes = [note for path in swept.rglob("sent.json") for note in read_sent(path.parent)]
            assert notes
            assert list((swept / "mlartifacts" / "small").iterdir())  # and not in the working directory
            assert not any("secret" in note.to for note in notes)
            forget(swept)
