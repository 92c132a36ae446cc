"""Three nodes, each with an address of its own in a network namespace of its own. One is killed half-way, one leaves with notice; every cell is finished."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from loretta_core.config import load_sweep
from loretta_core.config.engine import Plain
from loretta_core.store.record_files import find_records
from loretta_core.train.run import run_cell
from tests.cluster.test_local import exported, local
from tests.cluster.test_node_lost import base_environment
from tests.jobs.head import STARTS, stop_all
from tests.jobs.test_sweep import Place, start, wait_until

WORKER, TRIAL = "ray::CellWorker", "ray::ImplicitFunc"
"""Titles of the processes that compute, by executor."""

LIMIT_S = 900
"""Generous: a loaded machine starts worker groups slowly."""


def permitted() -> bool:
    """Return whether network namespaces can be made here."""
    probe = f"lor-probe-{os.getpid()}"
    if not shutil.which("ip") or subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode:
        return False
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return True


pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not permitted(), reason="network namespaces need root (CAP_SYS_ADMIN, CAP_NET_ADMIN) and: apt-get install iproute2"),
]


@dataclass(frozen=True)
class Nodes:
    """A head and workers, by the names of their namespaces."""

    state: Path
    environment: dict[str, str]

    @property
    def name(self) -> str:
        return self.environment["LORETTA_CLUSTER_NETNS"]

    def inside(self, node: str, *command: str) -> list[str]:
        return ["ip", "netns", "exec", f"{self.name}-{node}", *command]

    def processes(self, node: str) -> list[psutil.Process]:
        listed = subprocess.run(["ip", "netns", "pids", f"{self.name}-{node}"], capture_output=True, text=True, check=True).stdout.split()
        found = []
        for pid in listed:
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(pid)))
        return found

    def computing(self, node: str, by: str) -> list[psutil.Process]:
        return [each for each in self.processes(node) if title(each).startswith(by)]

    def raylet(self, node: str) -> psutil.Process:
        (found,) = [each for each in self.processes(node) if title(each).endswith("/raylet")]
        return found

    def kill(self, node: str) -> None:
        """Kill every process of a node at once, as a power failure does."""
        for each in self.processes(node):
            with suppress(psutil.NoSuchProcess):
                each.kill()


def title(process: psutil.Process) -> str:
    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:
        return ""


@pytest.fixture(scope="module")
def nodes():
    """Three workers with one CPU each and a GPU that they only claim to have."""
    parent = Path(tempfile.mkdtemp(prefix="lor-", dir="/tmp"))
    state = parent / "c"
    try:
        for _ in range(STARTS):  # Ray gives up a node that is not there in half a minute
            started = local("--netns", "3", state=state, LORETTA_CLUSTER_CPUS="1", LORETTA_CLUSTER_GPUS="1", RAY_worker_niceness="0")
            if "timed out during startup" not in started.stderr:
                break
        assert started.returncode == 0, started.stderr
        yield Nodes(state, {**base_environment(), **exported(state)})
    finally:
        if state.exists():
            assert local("stop", state=state).returncode == 0
        shutil.rmtree(parent)
    assert not [line for line in subprocess.run(["ip", "link"], capture_output=True, text=True).stdout.splitlines() if "lor-" in line]


GANG = """
[defaults]
model = "toy-bert"
task = { type = "toy_sentiment", train_rows = 64, validation_rows = 40, test_rows = 70 }
trainer = { type = "adam", steps = 2000, eval_every = 100 }
engine = "ddp"
[axes]
method = ["lora"]
"""


def steps_in(journal):
    lines = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    return [line["step"] for line in lines if "train_loss" in line]


def test_a_gang_over_two_nodes_moves_on_when_one_of_them_is_killed(nodes, tmp_path):
    """Two workers over gloo between the namespaces; the third node takes the place of the dead one."""
    file, out = tmp_path / "gang.toml", tmp_path / "out"
    file.write_text(GANG)
    (cell,) = load_sweep(file).cells
    journal = out / "cells" / cell.cell_id / "metrics.jsonl"
    process = start(nodes.inside("head", sys.executable, "-m", "jobs.sweep", str(file), "--out", str(out)), nodes.environment)
    try:
        wait_until(lambda: (journal.parent / "checkpoint.safetensors").exists(), process)
        first = {node for node in ("1", "2", "3") if nodes.computing(node, WORKER)}
        assert len(first) == 2
        victim = min(first)
        nodes.kill(victim)
        output, errors = process.communicate(timeout=LIMIT_S)
    finally:
        stop_all(process.pid)
    assert process.returncode == 0, output + errors
    assert "worker group 0 is lost" in output
    again = Counter(steps_in(journal))
    assert set(again) == set(range(1, 2001))
    assert 0 < sum(again.values()) - 2000 < 2000  # from the last checkpoint, not from the beginning
    alone = run_cell(cell.model_copy(update={"engine": Plain(type="plain")}), directory=tmp_path / "alone")
    record = find_records(out).records[cell.cell_id]
    expected, found = ([value for _, value in each.curves["train_loss"]] for each in (alone, record))
    assert found[:50] == pytest.approx(expected[:50], abs=1e-4)
    assert record.score.value == pytest.approx(alone.score.value, abs=0.05)


SEEDS = range(400, 424)
"""Cells of 6 seconds: with shorter ones Tune gives the next trial to a process that runs before a new one has started."""


def place_of(out: Path) -> Place:
    file = out.parent / "synthetic.toml"
    file.write_text(
        '[defaults]\nmodel = "toy-bert"\ntask = "toy_sentiment"\ntrainer = "adam"\nengine = { type = "plain", cpus = 0.5, gpus = 0.5 }\n'
        f'[axes]\nmethod = ["lora"]\nseed = {[*SEEDS]}\n'
    )
    return Place(file, out)


def test_a_node_that_leaves_with_notice_loses_nothing(nodes, tmp_path):
    """Trials that compute share the GPUs of the two nodes that are left. What `jobs.drain_node` ends on one of them goes on on the other."""
    here = place_of(tmp_path / "out")
    left = [node for node in ("1", "2", "3") if nodes.processes(node)]
    for node in left[2:]:  # where this test runs by itself
        nodes.kill(node)
    arguments = ["--max-concurrent", "3", "--set", "executor=inline"]
    process = start([*nodes.inside("head", *here.command), *arguments], nodes.environment)
    try:
        wait_until(lambda: here.records and sum(len(nodes.computing(node, TRIAL)) for node in left[:2]) == 3, process)
        told = {node: nodes.computing(node, TRIAL) for node in left[:2]}
        assert sorted(map(len, told.values())) == [1, 2]
        leaves = max(told, key=lambda node: len(told[node]))
        (node_id,) = [word.removeprefix("--node_id=") for word in nodes.raylet(leaves).cmdline() if word.startswith("--node_id=")]
        command = [sys.executable, "-m", "jobs.drain_node", "--node", node_id, "--within", "60"]
        gone = subprocess.run(nodes.inside(leaves, *command), env=nodes.environment, capture_output=True, text=True, timeout=LIMIT_S)
        assert (gone.returncode, gone.stderr) == (0, "")
        assert not any(each.is_running() for each in told[leaves])
        time.sleep(5)
        assert not nodes.computing(leaves, TRIAL)  # nothing more was placed there
        unfinished = set(SEEDS) - here.records.keys()
        nodes.kill(leaves)
        output, errors = process.communicate(timeout=LIMIT_S)
    finally:
        stop_all(process.pid)
    assert process.returncode == 0, output + errors
    assert unfinished
    assert {seed: record.status for seed, record in here.records.items()} == dict.fromkeys(SEEDS, "finished")
