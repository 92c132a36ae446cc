"""kill -9 of workers and of the driver at random moments, twenty times: the same command finishes the sweep, and nothing of it is lost or comes twice."""

import random
import subprocess
import time
from collections import Counter

import psutil
import pytest

from jobs.tracking.mlflow_setup import connect, default_uri
from tests.jobs.head import Head, stop_all
from tests.jobs.test_sweep import Place, place, run, shared, start

pytestmark = [pytest.mark.slow, pytest.mark.ray]

KILLS = 20
SEEDS = range(300, 340)
"""Cells of 1.5 seconds."""


def victims(head: Head) -> list[psutil.Process]:
    """Processes that compute cells: Ray names them after what they run."""
    found = []
    for process in psutil.process_iter(["name", "cmdline", "environ"]):
        line = " ".join(process.info["cmdline"] or [])
        ours = (process.info["environ"] or {}).get("RAY_AUTH_TOKEN_PATH") == head.environment["RAY_AUTH_TOKEN_PATH"]
        if ours and line.startswith(("ray::CellWorker", "ray::RayTrainWorker", "ray::ImplicitFunc", "ray::cell")):
            found.append(process)
    return found


def storm(here: Place, head: Head, command: list[str], dice: random.Random) -> Counter[str]:
    """Start the command again and again, and kill, until there were enough kills. Returns what was killed."""
    killed: Counter[str] = Counter()
    driver: subprocess.Popen[str] | None = None
    while killed.total() < KILLS:
        if driver is None or driver.poll() is not None:
            end(driver)
            driver = start(command, shared(head))
        time.sleep(dice.uniform(0.5, 5.0))
        if dice.random() < 0.25:
            stop_all(driver.pid)
            killed["driver"] += 1
        elif workers := victims(head):
            dice.choice(workers).kill()
            killed["worker"] += 1
    end(driver)
    return killed


def end(driver: subprocess.Popen[str] | None) -> None:
    """With everything that it started, and its pipes closed."""
    if driver is not None:
        stop_all(driver.pid)
        driver.communicate()


@pytest.mark.parametrize("executor", ["inline", "train"])
def test_nothing_is_lost_and_nothing_comes_twice(executor, tmp_path, head):
    here = place(tmp_path, *SEEDS)
    command = [*here.command, "--set", f"executor={executor}"]
    killed = storm(here, head, command, random.Random(7))
    assert killed.total() >= KILLS
    for _ in range(3):  # a cell whose process was killed twice in one start is reported as failed, and tried again by the next
        last = run(command, shared(head))
        if last.code == 0:
            break
    assert last.code == 0, last.output + last.errors
    assert Counter(record.status for record in here.records.values()) == {"finished": len(SEEDS)}
    for seed in SEEDS:
        directory = here.out / "cells" / here.cells[seed].cell_id
        assert (directory / "attempts.txt").stat().st_mtime <= (directory / "record.json").stat().st_mtime, f"{seed} ran again after it had finished"
    client = connect(default_uri(here.out))
    runs = client.search_runs([client.get_experiment_by_name("synthetic").experiment_id], max_results=1000)
    assert Counter(found.info.status for found in runs) == {"FINISHED": len(SEEDS) + 1}  # the cells, and the sweep
    assert len({found.data.tags["cell_id"] for found in runs if "cell_id" in found.data.tags}) == len(SEEDS)
    for found in runs:
        if "cell_id" in found.data.tags:
            steps = [point.step for point in client.get_metric_history(found.info.run_id, "train_loss")]
            assert len(steps) == len({*steps})
