"""Three machines behind a switch: each Ray node in a network namespace of its own. One cable is pulled half-way through a sweep, which finishes."""

import subprocess
from pathlib import Path

import pytest

from tests.cluster.test_local import alive, exported, local, processes_of, state  # noqa: F401  (a fixture)
from tests.cluster.test_node_lost import SEEDS, base_environment
from tests.jobs.head import stop_all
from tests.jobs.test_sweep import LIMIT_S, place, start, wait_until


def may_make_namespaces() -> bool:
    try:
        return subprocess.run(["unshare", "--net", "ip", "link", "add", "name", "lor-test", "type", "bridge"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


needs_root = pytest.mark.skipif(not may_make_namespaces(), reason="network namespaces and bridges need root (CAP_NET_ADMIN) and iproute2")


def namespaces():
    return {line.split()[0] for line in subprocess.check_output(["ip", "netns", "list"], text=True).splitlines() if line.startswith("lor")}


@pytest.mark.ray
def test_a_wrong_network_is_refused(state):  # noqa: F811
    result = local("1", state=state, LORETTA_CLUSTER_NETWORK="moon")
    assert (result.returncode, result.stdout) == (2, "")
    assert "LORETTA_CLUSTER_NETWORK=moon: expected host or namespaces" in result.stderr
    assert not state.exists()


@pytest.mark.ray
@pytest.mark.slow
@needs_root
def test_a_sweep_outlives_a_cable(state, tmp_path):  # noqa: F811
    before = namespaces()
    started = local("2", state=state, LORETTA_CLUSTER_NETWORK="namespaces", LORETTA_CLUSTER_CPUS="1", RAY_worker_niceness="0")
    assert started.returncode == 0, started.stderr
    made = sorted(namespaces() - before)
    assert [name.partition("-")[2] for name in made] == ["head", "worker-1", "worker-2"]
    variables = exported(state)
    network = (state / "network").read_text().strip()
    assert variables["RAY_ADDRESS"].startswith(f"{network}.2:")
    assert all(":" in line for line in addresses(made))

    here = place(tmp_path, *SEEDS)
    process = start(["ip", "netns", "exec", made[0], *here.command], {**base_environment(), **variables})
    try:
        wait_until(lambda: len(here.records) >= 3, process)
        assert len({pid for seed in here.records for pid, _ in here.attempts(seed)}) == 2, "a node holds one group, so both compute"
        subprocess.run(["ip", "link", "set", f"{made[0].partition('-')[0]}-1", "down"], check=True)
        output, errors = process.communicate(timeout=LIMIT_S)
    finally:
        stop_all(process.pid)
    print(output)  # with -s: the excerpt of the log
    assert process.returncode == 0, output + errors
    assert {seed: record.status for seed, record in here.records.items()} == dict.fromkeys(SEEDS, "finished")

    marked = processes_of(state)
    stopped = local("stop", state=state)
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n"), stopped.stderr
    assert not [pid for pid in marked if alive(pid)]
    assert namespaces() == before
    assert not list(Path("/sys/class/net").glob(f"{made[0].partition('-')[0]}*"))


def addresses(names):
    """Who listens in each of them: Ray's ports, in a network that no other node is in."""
    return [subprocess.check_output(["ip", "netns", "exec", name, "ss", "-Htln"], text=True) for name in names]
