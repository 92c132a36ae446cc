"""A sweep on a head and two worker nodes, of which one is killed half-way: its cell is computed by the other, and the sweep finishes."""

import os

import psutil
import pytest

from tests.cluster.test_local import exported, local, processes_of, state  # noqa: F401  (a fixture)
from tests.jobs.head import stop_all
from tests.jobs.test_sweep import LIMIT_S, place, start, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SEEDS = range(300, 312)
"""Cells of 1.5 seconds."""


def worker_raylets(state) -> list[psutil.Process]:  # noqa: F811
    found = [psutil.Process(pid) for pid in processes_of(state)]
    return [process for process in found if "raylet/raylet" in " ".join(process.cmdline()[:1]) and "--head" not in process.cmdline()]


def test_a_sweep_outlives_one_of_its_nodes(state, tmp_path):  # noqa: F811
    started = local("2", state=state, LORETTA_CLUSTER_CPUS="1", RAY_worker_niceness="0")  # as in tests/jobs/head.py: a busy machine
    assert started.returncode == 0, started.stderr
    here = place(tmp_path, *SEEDS)
    environment = {**base_environment(), **exported(state)}
    process = start(here.command, environment)
    try:
        wait_until(lambda: len(here.records) >= 3, process)
        computing = {pid for seed in here.records for pid, _ in here.attempts(seed)}
        assert len(computing) == 2  # a node holds one group, so the cells are spread
        victim = worker_raylets(state)[0]
        stop_all(victim.pid)
        output, errors = process.communicate(timeout=LIMIT_S)
    finally:
        stop_all(process.pid)
    assert process.returncode == 0, output + errors
    assert {seed: record.status for seed, record in here.records.items()} == dict.fromkeys(SEEDS, "finished")
    assert "is lost" in output


def base_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
