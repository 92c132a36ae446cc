"""The setup of MLflow: a real SQLite store, and stores that cannot be used."""

import subprocess
import sys

import pytest

from jobs.tracking.mlflow_setup import PARENT_TAG, connect, default_uri, prepare
from loretta_core.errors import ConfigError
from tests.paths import ROOT


def test_the_default_is_a_file_in_the_output_directory_unless_the_environment_names_a_server(out, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert default_uri(out) == f"sqlite:///{out.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert default_uri(out) == "http://mlflow:5000"


def test_a_sweep_has_one_experiment_and_one_parent_run_however_often_it_starts(mlflow_uri, out):
    first = prepare(mlflow_uri, name="small", out=out)
    client = connect(mlflow_uri)
    client.set_terminated(first.parent_run_id, status="KILLED")
    assert prepare(mlflow_uri, name="small", out=out) == first
    assert client.get_run(first.parent_run_id).info.status == "RUNNING"
    run = client.get_run(first.parent_run_id)
    assert (run.info.run_name, run.data.tags[PARENT_TAG]) == ("small", "small")
    assert run.data.tags.keys() >= {"mlflow.source.name", "mlflow.source.type"}
    assert len(client.search_runs([first.experiment_id])) == 1
    other = prepare(mlflow_uri, name="other", out=out)
    assert other.experiment_id != first.experiment_id


def test_artifacts_lie_in_the_output_directory(mlflow_uri, out):
    tracking = prepare(mlflow_uri, name="small", out=out)
    location = connect(mlflow_uri).get_experiment(tracking.experiment_id).artifact_location
    assert location == (out / "mlartifacts" / "small").resolve().as_uri()


def test_an_experiment_that_was_deleted_comes_back(mlflow_uri, out):
    tracking = prepare(mlflow_uri, name="small", out=out)
    connect(mlflow_uri).delete_experiment(tracking.experiment_id)
    assert prepare(mlflow_uri, name="small", out=out).experiment_id == tracking.experiment_id


def test_a_server_that_is_down_is_named_before_anything_starts(out, dead_server):
    with pytest.raises(ConfigError) as error:
        prepare(dead_server, name="small", out=out)
    assert f"MLflow at {dead_server} cannot be used" in str(error.value)
    assert "--tracking-uri" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_database_is_named(out):
    (out / "mlflow.db").write_text("not a database")
    with pytest.raises(ConfigError, match=r"mlflow\.db cannot be used"):
        prepare(default_uri(out), name="small", out=out)
    assert (out / "mlflow.db").read_text() == "not a database"


PREPARE = """
import sys
from pathlib import Path
from jobs.tracking.mlflow_setup import prepare
print(prepare(sys.argv[1], name="small", out=Path(sys.argv[2])).parent_run_id)
"""


KILLED = """
import os, signal, sys, threading, time
from pathlib import Path
from jobs.tracking.mlflow_setup import prepare
out = Path(sys.argv[2])

def kill_half_way():
    draft = out / ".mlflow.db.draft"
    while not (draft.exists() and draft.stat().st_size > 100_000):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)

threading.Thread(target=kill_half_way, daemon=True).start()
prepare(sys.argv[1], name="s", out=out)
"""


@pytest.mark.integration
def test_a_kill_while_the_database_is_made_leaves_none_or_a_whole_one(out):
    killed = subprocess.run([sys.executable, "-c", KILLED, default_uri(out), str(out)], cwd=ROOT, capture_output=True, timeout=120)
    assert killed.returncode == -9
    assert list(out.glob(".mlflow.db*"))  # it was half-way
    assert not (out / "mlflow.db").exists()
    assert prepare(default_uri(out), name="s", out=out).parent_run_id
    assert not list(out.glob(".mlflow.db*"))


@pytest.mark.slow
def test_processes_that_open_a_fresh_database_at_once_all_succeed(out):
    command = [sys.executable, "-c", PREPARE, default_uri(out), str(out)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    results = [(process, *process.communicate(timeout=120)) for process in processes]
    assert [(process.returncode, error[-500:]) for process, _, error in results if process.returncode] == []
    assert len({printed for _, printed, _ in results}) == 1  # and they share one parent run
