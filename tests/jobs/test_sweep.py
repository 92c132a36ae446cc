"""Whole sweeps of synthetic cells on real Ray: what breaks stays small, what is done stays done."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.tracking.mlflow_setup import connect, default_uri
from loretta_core.config import CellConfig, load_sweep
from loretta_core.store.record_files import find_records
from loretta_core.store.records import Record
from tests.jobs.head import Head, stop_all, user_environment
from tests.jobs.synthetic import BROKEN_SEED, FAILING_SEED, HUNGRY_SEED, KILLED_ONCE_SEED, KILLER_SEED, MENDED, SLOW_SEED, WORKERS
from tests.paths import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.ray]

LIMIT_S = 400
"""Generous: a loaded machine starts worker groups slowly."""

SWEEP = """
[defaults]
model = "toy-bert"
task = "toy_sentiment"
trainer = "adam"
[axes]
method = ["lora", {type = "lora", r = 8}]
seed = %s
"""


@dataclass(frozen=True)
class Ran:
    """A sweep that is over: what a user saw."""

    code: int
    output: str
    errors: str


@dataclass(frozen=True)
class Place:
    """A sweep file and its output directory."""

    file: Path
    out: Path

    @property
    def cells(self) -> dict[int, CellConfig]:
        """Return the cells of the sweep by seed."""
        return {cell.seed: cell for cell in load_sweep(self.file).cells}

    @property
    def records(self) -> dict[int, Record]:
        """Return the records of the sweep by seed."""
        records = find_records(self.out).records
        return {seed: records[cell.cell_id] for seed, cell in self.cells.items() if cell.cell_id in records}

    def attempts(self, seed: int) -> list[list[str]]:
        """Process and working directory of each attempt at a cell."""
        lines = (self.out / "cells" / self.cells[seed].cell_id / "attempts.txt").read_text().splitlines()
        return [line.split(" ", 1) for line in lines]

    @property
    def command(self) -> list[str]:
        """Return the command that a user types; the output directory is a relative path, as the default one is."""
        return [sys.executable, "-m", "tests.jobs.synthetic", str(self.file), "--out", os.path.relpath(self.out, ROOT)]


def place(directory: Path, *seeds: int) -> Place:
    file = directory / "synthetic.toml"
    file.write_text(SWEEP % list(seeds))
    return Place(file, directory / "out")


def run(command: list[str], environment: dict[str, str]) -> Ran:
    process = start(command, environment)
    try:
        output, errors = process.communicate(timeout=LIMIT_S)
    finally:
        stop_all(process.pid)
    return Ran(process.returncode, output, errors)


def shared(head: Head) -> dict[str, str]:
    return {**head.environment, "RAY_ADDRESS": head.address}


TROUBLES = (0, FAILING_SEED, KILLER_SEED, BROKEN_SEED, KILLED_ONCE_SEED, HUNGRY_SEED, 1)
"""Seeds of cells that fail, break, kill their process once or always, or ask for too much memory, between two that are fine."""


@pytest.fixture(scope="module")
def troubled(tmp_path_factory) -> Place:
    return place(tmp_path_factory.mktemp("troubles"), *TROUBLES)


@pytest.fixture(scope="module")
def first(troubled, head) -> Ran:
    return run(troubled.command, shared(head))


@pytest.fixture(scope="module")
def mended(first, troubled, tmp_path_factory) -> Place:
    """A copy, so that what the first sweep left stays as it was."""
    out = tmp_path_factory.mktemp("mended") / "out"
    shutil.copytree(troubled.out, out)
    (out / MENDED).touch()
    return Place(troubled.file, out)


@pytest.fixture(scope="module")
def second(mended, head) -> Ran:
    """With a group of two processes."""
    return run(mended.command, {**shared(head), WORKERS: "2"})


def test_the_sweep_goes_on_and_says_that_something_failed(first, troubled):
    assert first.code == 1, first.errors
    assert "Traceback" not in first.errors
    assert {seed: record.status for seed, record in troubled.records.items()} == {
        0: "finished",
        1: "finished",
        KILLED_ONCE_SEED: "finished",
        HUNGRY_SEED: "finished",
        FAILING_SEED: "failed",
        BROKEN_SEED: "failed",
        KILLER_SEED: "failed",
    }


def test_every_reason_is_recorded_and_shown(first, troubled):
    reasons = {seed: (record.error.kind, record.error.message) for seed, record in troubled.records.items() if record.error}
    died = "the worker process died while it computed this cell, 2 times: a worker process ended unexpectedly: killed, out of memory, or crashed"
    assert reasons == {
        FAILING_SEED: ("nan", "the loss is nan at step 3"),
        BROKEN_SEED: ("error", "KeyError: 'a bug'"),
        KILLER_SEED: ("infrastructure", died),
    }
    for seed, (kind, message) in reasons.items():
        assert re.search(rf"\[\d/7\] .*seed {seed}: failed \({kind}\): {re.escape(message)}", first.output)
        assert re.search(rf"failed: .*seed {seed} \({troubled.cells[seed].cell_id}\): {kind}: {re.escape(message)}", first.output)
    assert "in _misbehave" in (troubled.out / "cells" / troubled.cells[BROKEN_SEED].cell_id / "error.txt").read_text()


def test_a_cell_that_kills_its_process_gets_a_second_chance_and_no_third(first, troubled):
    assert {seed: len(troubled.attempts(seed)) for seed in TROUBLES} == {
        0: 1,
        1: 1,
        FAILING_SEED: 1,
        BROKEN_SEED: 1,
        KILLED_ONCE_SEED: 2,
        KILLER_SEED: 2,
        HUNGRY_SEED: 2,
    }
    assert re.search(r"worker group \d is lost \(a worker process ended unexpectedly.*it starts anew", first.output)


def test_a_cell_that_does_not_fit_is_computed_in_smaller_pieces(first, troubled):
    assert troubled.records[HUNGRY_SEED].cell["engine"]["gradient_accumulation"] == 2
    assert re.search(rf"seed {HUNGRY_SEED}: accuracy 0.900 in .* \(after running out of memory: in 2 times as many pieces\)", first.output)


def test_an_exception_does_not_cost_a_group(first, troubled):
    processes = {pid for seed in TROUBLES for pid, _ in troubled.attempts(seed)}
    assert len(processes) <= 2 + 3  # two groups, and a new process after each of three deaths


def test_cells_are_computed_where_the_sweep_was_started(first, troubled):
    assert {directory for seed in TROUBLES for _, directory in troubled.attempts(seed)} == {str(ROOT)}


def test_the_same_cell_twice_ran_once_and_was_said(first):
    assert first.output.count("duplicate cell, runs once: toy-bert · toy_sentiment · lora · adam · seed") == len(TROUBLES)


def test_mlflow_has_a_parent_and_a_child_per_cell(first, troubled):
    client = connect(default_uri(troubled.out))
    experiment = client.get_experiment_by_name("synthetic")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.run_name == "synthetic"
    children = {run.data.tags["cell_id"]: run for run in runs if run is not parent}
    assert len(runs) == 8
    for seed, cell in troubled.cells.items():
        run = children[cell.cell_id]
        tags = {name: run.data.tags[name] for name in ("mlflow.parentRunId", "model", "task", "method", "trainer", "seed")}
        expected = {"model": "toy-bert", "task": "toy_sentiment", "method": "lora", "trainer": "adam", "seed": str(seed)}
        assert tags == {"mlflow.parentRunId": parent.info.run_id, **expected}
        if seed in (0, 1, KILLED_ONCE_SEED, HUNGRY_SEED):
            assert (run.info.status, run.data.metrics["score"], run.data.metrics["trainable_params"]) == ("FINISHED", 0.9, 10.0)
        else:
            assert (run.info.status, run.data.tags["failure"]) == ("FAILED", troubled.records[seed].error.kind)


def test_failed_cells_are_tried_again_and_finished_ones_are_not(second, mended):
    assert second.code == 0, second.errors
    assert "4 of 7 cells finished, 3 to run" in second.output
    assert "3 cells that failed last time will be tried again" in second.output
    assert Counter(record.status for record in mended.records.values()) == {"finished": 7}
    assert [len(mended.attempts(seed)) for seed in (0, 1, FAILING_SEED, KILLER_SEED)] == [1, 1, 1 + 2, 2 + 2]
    assert not list(mended.out.rglob("error.txt"))


def test_a_group_of_two_processes_computes_every_cell_together(second, mended):
    assert "3 cells on 1 worker group (2 workers with 1 CPU each)" in second.output
    pairs = {frozenset(pid for pid, _ in mended.attempts(seed)[-2:]) for seed in (FAILING_SEED, BROKEN_SEED, KILLER_SEED)}
    assert [len(pair) for pair in pairs] == [2]  # the same two every time


def test_a_sweep_that_is_finished_starts_nothing(second, mended, head):
    nowhere = {**head.environment, "RAY_ADDRESS": "127.0.0.1:1", "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    started = time.monotonic()
    third = run(mended.command, nowhere)
    assert third.code == 0, third.errors
    assert "7 of 7 cells finished, nothing to run" in third.output
    assert third.output.count("0.900 ± 0.027") == 2  # of the one contender whose seeds differ: verdict and table
    assert time.monotonic() - started < 30


@pytest.mark.slow
@pytest.mark.parametrize("token", ["0" * 64, None])
@pytest.mark.parametrize("address", ["", "auto"])
def test_a_cluster_that_refuses_the_token_is_named_in_one_line(address, token, tmp_path, head):
    here, address = place(tmp_path, 0), address or head.address
    started = time.monotonic()
    refused = run(here.command, {**user_environment(tmp_path, token=token), "RAY_ADDRESS": address})
    assert time.monotonic() - started < 20  # 4 s where nothing else runs
    assert refused.code == 2, refused.errors
    (line,) = refused.errors.splitlines()
    assert line.startswith(f"error: RAY_ADDRESS = {address}: no Ray there lets us in")
    assert "is the token in RAY_AUTH_TOKEN" in line
    assert here.records == {}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["train", "inline"])
def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(executor, tmp_path, head):
    here = place(tmp_path, 0, 1, SLOW_SEED, 2)
    arguments = ["--max-concurrent", "1", "--set", f"executor={executor}"]
    environment = user_environment(tmp_path, token=None)  # a Ray of the sweep's own
    process = start([*here.command, *arguments], environment)
    try:
        wait_until((here.out / "cells" / here.cells[SLOW_SEED].cell_id / "attempts.txt").exists, process)
        second_driver = run(here.command, environment)
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the driver and to everything that it started
        output, errors = process.communicate(timeout=LIMIT_S)
    finally:
        stop_all(process.pid)

    assert second_driver.code == 2
    assert f"error: {os.path.relpath(here.out, ROOT)}: in use by process {process.pid} on" in second_driver.errors

    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "stopping: running cells save what they have" in output
    assert "stopped: 2 of 4 cells are finished and kept; go on with:" in output
    assert shlex.split(output.splitlines()[-1]) == ["python", "-m", "jobs.sweep", *here.command[3:], *arguments]
    assert here.records.keys() == {0, 1}
    client = connect(default_uri(here.out))
    experiment = client.get_experiment_by_name("synthetic").experiment_id
    assert Counter(run.info.status for run in client.search_runs([experiment])) == {"FINISHED": 2, "KILLED": 2}  # the slow cell, and the parent

    kept = here.records
    (here.out / MENDED).touch()
    resumed = run([*here.command, *arguments], shared(head))  # on another Ray: nothing of the first one is needed
    assert resumed.code == 0, resumed.errors
    assert "2 of 4 cells finished, 2 to run" in resumed.output
    assert {seed: here.records[seed] for seed in (0, 1)} == kept
    assert [len(here.attempts(seed)) for seed in (0, 1, SLOW_SEED, 2)] == [1, 1, 2, 1]
    assert Counter(run.info.status for run in client.search_runs([experiment])) == {"FINISHED": 5}


def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
