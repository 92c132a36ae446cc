"""A machine that comes while a sweep runs gets cells."""

import subprocess
import sys

import pytest

from tests.cluster.test_local import exported, local, state  # noqa: F401  (a fixture)
from tests.cluster.test_node_lost import base_environment
from tests.jobs.head import stop_all
from tests.jobs.test_sweep import LIMIT_S, place, start, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SEEDS = range(400, 410)
"""Cells of 6 seconds: with shorter ones Tune gives the next trial to a process that runs before the new one has started."""


@pytest.mark.parametrize("executor", ["train", "inline"])
def test_a_new_node_computes_cells_too(executor, state, tmp_path):  # noqa: F811
    started = local("1", state=state, LORETTA_CLUSTER_CPUS="1", RAY_worker_niceness="0")
    assert started.returncode == 0, started.stderr
    here = place(tmp_path, *SEEDS)
    environment = {**base_environment(), **exported(state)}
    process = start([*here.command, "--set", f"executor={executor}"], environment)
    node = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--address={environment['RAY_ADDRESS']}", "--num-cpus=1"]
    new = None
    try:
        wait_until(lambda: here.records, process)
        new = subprocess.Popen(node, env=environment | {"RAY_worker_niceness": "0"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        output, errors = process.communicate(timeout=LIMIT_S)
    finally:
        stop_all(process.pid)
        if new is not None:
            stop_all(new.pid)
            new.wait()
    assert process.returncode == 0, output + errors
    assert {seed: record.status for seed, record in here.records.items()} == dict.fromkeys(SEEDS, "finished")
    assert output.count("the cluster has grown: 2 ") == 1
    assert len({pid for seed in SEEDS for pid, _ in here.attempts(seed)}) == 2
