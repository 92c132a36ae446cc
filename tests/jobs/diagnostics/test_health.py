"""Health checks of what a killed sweep leaves in an output directory, in MLflow and on a shared Ray, and their repairs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.diagnostics import health
from jobs.storage.lock import output_lock
from jobs.tracking.mlflow_setup import connect, prepare
from jobs.tracking.mlflow_sink import MlflowSink
from loretta_core.store.layout import cell_directory
from tests.jobs.head import Head
from tests.paths import ROOT

KILLED = """
import os, signal, sys
from pathlib import Path
from jobs.storage.lock import output_lock
with output_lock(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""
LEAK = """
import ray
ray.init(log_to_driver=False)
ray.get(ray.util.placement_group([{"CPU": 1}], lifetime="detached").ready())
"""


def found(out, *, fix=False):
    return {finding.what: finding for finding in health.output_findings(out, fix=fix)}


@pytest.fixture
def killed(out):
    """A directory whose driver was killed while it wrote."""
    subprocess.run([sys.executable, "-c", KILLED, str(out)], cwd=ROOT, check=False)
    half = cell_directory(out, "0123") / ".record.json.4711.tmp"
    half.parent.mkdir(parents=True)
    half.write_text('{"cell_id": ')
    return out


def test_an_output_directory_that_is_not_there_is_no_problem(tmp_path):
    assert found(tmp_path / "none")["output"].state == "ok"


def test_a_fresh_directory_is_healthy(out):
    assert {finding.state for finding in found(out).values()} == {"ok"}


def test_leftovers_are_named_and_stay_until_they_are_fixed(killed):
    for _ in range(2):  # looking changes nothing
        before = found(killed)
        assert (before["lock"].state, before["temporary files"].state) == ("problem", "problem")
        assert "left locked by process" in before["lock"].text
        assert "cells/0123/.record.json.4711.tmp" in before["temporary files"].text
    fixed = found(killed, fix=True)
    assert (fixed["lock"].state, fixed["temporary files"].state) == ("fixed", "fixed")
    assert {finding.state for finding in found(killed).values()} == {"ok"}
    assert health.temporary_files(killed) == []


def test_nothing_of_a_sweep_at_work_is_touched(killed):
    with output_lock(killed):
        (finding,) = found(killed, fix=True).values()
    assert finding.state == "ok"
    assert "a sweep is at work" in finding.text
    assert len(health.temporary_files(killed)) == 1


@pytest.mark.integration
def test_runs_left_running_are_ended(cell, out, mlflow_uri):
    tracking = prepare(mlflow_uri, name="small", out=out)
    MlflowSink(tracking, cell(), directory=cell_directory(out, cell().cell_id)).open()
    assert found(out)["mlflow"].text == "3 runs of this directory left running"  # the cell's, its sweep's, and that of the fixture
    assert found(out, fix=True)["mlflow"].state == "fixed"
    assert found(out)["mlflow"].state == "ok"
    assert {run.info.status for run in connect(mlflow_uri).search_runs([tracking.experiment_id])} == {"KILLED"}


@pytest.mark.integration
def test_a_dead_server_is_a_problem(out, dead_server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dead_server)
    assert found(out)["mlflow"].state == "problem"
    assert "correct MLFLOW_TRACKING_URI" in found(out)["mlflow"].advice


@pytest.mark.integration
@pytest.mark.ray
def test_leaked_placement_groups_are_freed(head, tmp_path):
    environment = {**head.environment, "RAY_ADDRESS": head.address}
    subprocess.run([sys.executable, "-c", LEAK], env=environment, check=True, capture_output=True, timeout=200)
    code, text = loretta_doctor(head, tmp_path)
    assert (code, "problem  placement groups: 1 placement group of drivers that are gone hold 1 CPU" in text) == (1, True), text
    code, text = loretta_doctor(head, tmp_path, "--fix")
    assert (code, "fixed    placement groups: 1 leaked placement group freed: 1 CPU" in text) == (0, True), text
    assert "ray: 1 node with 2 CPU, Ray " in text


def loretta_doctor(head: Head, directory: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "services.cli", "doctor", "--out", str(directory / "none"), *options]
    environment = {**head.environment, "RAY_ADDRESS": head.address, "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def test_a_cluster_that_is_not_there_is_a_problem(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    (finding,) = health.ray_findings(fix=False)
    assert finding.state == "problem"
    assert "nobody listens there" in finding.text


def test_sessions_of_killed_sweeps_are_named_and_removed_on_demand(tmp_path, monkeypatch):
    directory = tmp_path / "lor-abcd_123"
    directory.mkdir()
    monkeypatch.setattr(health.session_directory, "dead_session_directories", lambda: [directory] if directory.exists() else [])
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def finding(*, fix):
        return next(found for found in health.examine(tmp_path / "none", fix=fix) if found.what == "ray sessions")

    assert (finding(fix=False).state, finding(fix=False).advice) == ("problem", "loretta doctor --fix removes them")
    assert finding(fix=True).state == "fixed"
    assert not directory.exists()
    assert finding(fix=False).state == "ok"
