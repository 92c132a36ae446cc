"""kill -9 of anything that a sweep consists of, at random moments, twenty times: worker, driver, raylet, GCS, MLflow's server (away for half a minute, and
back at another port), also while they start.

The driver is started again as a user would, after exit code 3 as well. In the end the table is that of a sweep which nobody disturbed, and MLflow has every
run once.
"""

import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from jobs.execution.connection.session_directory import PREFIX
from jobs.tracking.mlflow_setup import connect
from loretta_core.config import load_sweep
from loretta_core.report.compare import compare
from loretta_core.store.record_files import find_records
from tests.jobs.head import free_ports, stop_all, user_environment
from tests.jobs.scenarios.test_mlflow_away import AWAY_S, serve
from tests.jobs.test_sweep import Place, run, start

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("STORM_KILLS", "20"))
ENDS_WITHIN_S = 30.0
VICTIMS = {"worker": 8, "driver": 2, "raylet": 4, "gcs_server": 4, "mlflow": 2}
"""Victim → weight."""

SWEEP = """
name = "storm"
[defaults]
model = "toy-bert"
task = { type = "toy_sentiment", train_rows = 64, validation_rows = 40, test_rows = 70 }
method = "lora"
[axes]
trainer = [
    { type = "adam", steps = 100, eval_every = 10 },
    { type = "zo_sgd", lr = 1e-3, zo_eps = 1e-2, steps = 100, eval_every = 10 },
    { type = "zo_sgd", lr = 1e-2, zo_eps = 1e-2, steps = 100, eval_every = 10 },
    { type = "zo_adam", lr = 1e-3, zo_eps = 1e-2, steps = 100, eval_every = 10 },
]
seed = [1, 2, 3]
"""


@pytest.fixture
def here(tmp_path) -> Place:
    file = tmp_path / "storm.toml"
    file.write_text(SWEEP)
    return Place(file, tmp_path / "out")


def command_of(here: Place, *settings: str) -> list[str]:
    command = here.command
    command[2] = "tests.jobs.hurried"
    return command + [part for setting in settings for part in ("--set", setting)]


@dataclass
class Tracker:
    """An MLflow server that can be killed, and is back later at another port, with what it had."""

    directory: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None
    back_at: float = 0.0

    def serve(self) -> None:
        (self.port,) = free_ports(1)
        self.process = serve(self.port, self.directory)

    def kill(self) -> bool:
        if self.process is None:
            return False
        self.close()
        self.back_at = time.monotonic() + AWAY_S
        return True

    def look(self) -> None:
        if self.process is None and time.monotonic() > self.back_at:
            self.serve()

    def close(self) -> None:
        if self.process is not None:
            stop_all(self.process.pid)
            self.process.wait()
            self.process = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Storm:
    """A sweep that is started whenever it does not run, and what was killed of it."""

    command: list[str]
    environment: dict[str, str]
    tracker: Tracker
    dice: random.Random
    cells: list[str]
    killed: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    """From the death of Ray to the end of the driver."""
    driver: subprocess.Popen[str] | None = None

    def rage(self) -> None:
        """Kill until it is enough. A sweep that is over before computes its cells again."""
        again: list[str] = []
        while self.killed.total() < KILLS:
            self.tracker.look()
            if self.driver is None:
                self.driver = start([*self.command, *again], {**self.environment, "MLFLOW_TRACKING_URI": self.tracker.uri})
                again = []
            self._wait()
            if self.driver.poll() is None:
                self._kill()
            elif self._end() == 0:
                again = [part for cell in self.cells for part in ("--rerun", cell)]
        self._end()

    def _wait(self) -> None:
        """Until some moment of the start, or some moment after a worker is there."""
        assert self.driver is not None
        if self.dice.random() < 0.7:
            deadline = time.monotonic() + 60
            while not workers(self.driver.pid) and self.driver.poll() is None and time.monotonic() < deadline:
                time.sleep(0.3)
        time.sleep(self.dice.uniform(0.0, 6.0))

    def _kill(self) -> None:
        assert self.driver is not None
        name = self.dice.choices([*VICTIMS], [*VICTIMS.values()])[0]
        if name == "mlflow":
            self.killed[name] += self.tracker.kill()
        elif name == "driver":
            self.driver.kill()
            self._end()
            self.killed[name] += 1
        elif found := workers(self.driver.pid) if name == "worker" else children(self.driver.pid, lambda process: process.name() == name):
            self.dice.choice(found).kill()
            self.killed[name] += 1
            if name != "worker":
                self._ends_by_itself()

    def _ends_by_itself(self) -> None:
        """Ray is gone: one line, exit code 3, in time, and nothing is left running."""
        assert self.driver is not None
        family = children(self.driver.pid, lambda process: True)
        begun = time.monotonic()
        output, errors = self.driver.communicate(timeout=60)
        self.took_s.append(time.monotonic() - begun)
        if "report with figures" in output:  # it had all cells already
            self._over(family)
            return
        check_farewell(self.driver, output, errors, family=family, took_s=self.took_s[-1])
        self.codes[self.driver.returncode] += 1
        self.driver = None

    def _end(self) -> int:
        """End the driver with everything that it started; returns its exit code."""
        if self.driver is None:
            return 0
        over = self.driver.poll()
        family = children(self.driver.pid, lambda process: True)
        if over is None:
            self.driver.kill()
        self.driver.communicate()
        return self._over(family)

    def _over(self, family: list[psutil.Process]) -> int:
        """Note how a driver ended that is over, of which nothing is left; returns its exit code."""
        assert self.driver is not None
        check_nothing_left(self.driver.pid, family)
        code, self.driver = self.driver.returncode, None
        self.codes[code] += 1
        return code


def check_farewell(driver: subprocess.Popen[str], output: str, errors: str, *, family: list[psutil.Process], took_s: float) -> None:
    """A driver whose Ray died has said so in one line, beside the command to go on with, in time, and has left nothing."""
    assert driver.returncode == 3, output + errors
    assert took_s < ENDS_WITHIN_S
    assert errors.startswith("error: "), errors
    assert len(errors.splitlines()) <= 2, errors
    assert "go on with:" in errors or "Start the same command again" in errors, errors
    check_nothing_left(driver.pid, family)


def check_nothing_left(pid: int, family: list[psutil.Process]) -> None:
    """No process, and no session directory, some seconds after the end of a driver."""
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert pid not in [int((path / "owner").read_text()) for path in Path("/tmp").glob(f"{PREFIX}*") if (path / "owner").exists()]


def children(pid: int, chosen: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    found = []
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if chosen(process):
                    found.append(process)
    return found


def workers(pid: int) -> list[psutil.Process]:
    """Processes that compute cells: Ray names them after what they run."""
    return children(pid, lambda process: "".join(process.cmdline()).startswith(("ray::CellWorker", "ray::ImplicitFunc", "ray::cell")))


def table(here: Place) -> list[dict[str, object]]:
    """The table of the comparison without what was measured by the clock."""
    found = compare(here.out, name="storm").table(cells=True)
    return [{name: text for name, text in zip(found.columns, line, strict=True) if name not in ("training time", "peak memory")} for line in found.body]


@pytest.mark.parametrize(("executor", "pack"), [("inline", "off"), ("train", "off"), ("train", "3")])
def test_the_table_is_that_of_an_undisturbed_sweep(executor, pack, here, tmp_path):
    settings = (f"executor={executor}", f"pack={pack}")
    environment = {**user_environment(tmp_path, token=None), "OMP_NUM_THREADS": "1"}
    calm = Place(here.file, tmp_path / "calm")
    undisturbed = run(command_of(calm, *settings), environment)
    assert undisturbed.code == 0, undisturbed.output + undisturbed.errors

    tracker, cells = Tracker(tmp_path / "server"), load_sweep(here.file).cells
    tracker.serve()
    storm = Storm(command_of(here, *settings), environment, tracker, random.Random(7), [cell.cell_id for cell in cells])
    try:
        storm.rage()
        if tracker.process is None:
            tracker.serve()
        for _ in range(3):  # a cell whose process was killed twice in one start is reported as failed, and tried again by the next
            last = run(storm.command, {**environment, "MLFLOW_TRACKING_URI": tracker.uri})
            if last.code == 0:
                break
        assert last.code == 0, last.output + last.errors
        _check(here, calm, exact=pack == "off")
        _check_mlflow(here, tracker.uri)
        print(json.dumps({"executor": executor, "pack": pack, "killed": storm.killed, "exit_codes": storm.codes, "longest_end_s": max(storm.took_s)}))
    finally:
        if storm.driver is not None:
            stop_all(storm.driver.pid)
        tracker.close()


def _check(here: Place, calm: Place, *, exact: bool) -> None:
    """What is left is bitwise what is left of the other; of packs, which a kill takes apart, to the digits in which a pack may differ from its cells alone."""
    assert table(here) == table(calm)
    found, expected = find_records(here.out).records, find_records(calm.out).records
    assert found.keys() == expected.keys()
    for cell_id, record in found.items():
        assert record.status == "finished"
        assert record.score == (expected[cell_id].score if exact else pytest.approx(expected[cell_id].score))
        for name, curve in expected[cell_id].curves.items():
            assert [step for step, _ in record.curves[name]] == [step for step, _ in curve]
            assert [value for _, value in record.curves[name]] == ([value for _, value in curve] if exact else pytest.approx([v for _, v in curve], abs=1e-3))


def _check_mlflow(here: Place, uri: str) -> None:
    client = connect(uri)
    runs = client.search_runs([client.get_experiment_by_name("storm").experiment_id], max_results=1000)
    cells = [found for found in runs if "cell_id" in found.data.tags]
    assert sorted(found.data.tags["cell_id"] for found in cells if found.info.status == "FINISHED") == sorted(
        cell.cell_id for cell in load_sweep(here.file).cells
    )
    for found in cells:
        steps = [point.step for point in client.get_metric_history(found.info.run_id, "train_loss")]
        assert len(steps) == len({*steps})
