"""The Ray that a sweep connects to, and that nothing of our own is left behind. (Real connections: test_sweep.py.)"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from jobs.execution.connection.ray_session import nodes, ray_session
from jobs.execution.connection.ray_watch import OwnRay
from loretta_core.errors import ConfigError, InfrastructureError
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The session changes the environment on purpose; here it gets one to throw away."""
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"]})
    return os.environ


@pytest.fixture
def calls(monkeypatch):
    """The calls of Ray: init's options, and "shutdown"."""
    asked: list = []

    def init(**options):
        asked.append({**options, "scratch": Path(options.get("_temp_dir", "/none")).is_dir()})

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: asked.append("shutdown"))
    return asked


def test_our_own_cluster_is_private_and_leaves_nothing_behind(calls, environment):
    with ray_session():
        token = environment["RAY_AUTH_TOKEN"]
    options, last = calls
    assert last == "shutdown"
    assert (options["address"], options["dashboard_host"], options["include_dashboard"]) == ("local", "127.0.0.1", True)
    assert environment["RAY_AUTH_MODE"] == "token"
    assert len(token) == 64
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert options["scratch"]
    assert not Path(options["_temp_dir"]).exists()
    assert len(options["_temp_dir"]) < 30  # Ray puts sockets below, whose paths may have 107 characters


def test_a_second_session_of_a_process_keeps_the_token_that_ray_remembers(calls, environment):
    with ray_session():
        first = environment["RAY_AUTH_TOKEN"]
    with ray_session():
        assert environment["RAY_AUTH_TOKEN"] == first


def test_a_running_cluster_is_joined_with_its_own_token(calls, environment, monkeypatch):
    monkeypatch.setattr("jobs.execution.connection.ray_session._joined_ray", OwnRay)
    monkeypatch.setattr("jobs.execution.connection.ray_session.knock", lambda address: address)
    with socket.socket() as cluster:
        cluster.bind(("127.0.0.1", 0))
        cluster.listen()
        environment["RAY_ADDRESS"] = f"127.0.0.1:{cluster.getsockname()[1]}"
        with ray_session():
            pass
    assert calls[0]["address"] == environment["RAY_ADDRESS"]
    assert "_temp_dir" not in calls[0]
    assert "RAY_AUTH_TOKEN" not in environment


def test_an_address_where_nobody_listens_is_refused_at_once(calls, environment, dead_server):
    environment["RAY_ADDRESS"] = dead_server.removeprefix("http://")
    with pytest.raises(ConfigError, match=r"RAY_ADDRESS = 127\.0\.0\.1:\d+: nobody listens there; .* unset it to compute on this machine"), ray_session():
        pytest.fail("there is no session")
    assert not calls


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("foo", "no address; expected HOST:PORT"),
        ("http://127.0.0.1:8265", "no address"),
        ("127.0.0.1:6379/x", "no address"),
        ("ray://127.0.0.1:1", "Ray Client"),
    ],
)
def test_an_address_that_is_none_is_refused_at_once(address, words, calls, environment):
    environment["RAY_ADDRESS"] = address
    with pytest.raises(ConfigError, match=f"RAY_ADDRESS = {address}: .*{words}"), ray_session():
        pytest.fail("there is no session")
    assert not calls


def test_what_the_environment_says_about_ray_wins(calls, environment):
    environment["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "7"
    with ray_session():
        assert environment["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] == "7"


def test_a_cluster_that_does_not_start_leaves_nothing_behind(calls, monkeypatch):
    scratch = []

    def init(**options):
        scratch.append(Path(options["_temp_dir"]))
        raise RuntimeError("no GCS")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InfrastructureError, match=r"could not be started on this machine \(no GCS\)"), ray_session():
        pytest.fail("there is no session")
    assert not scratch[0].exists()
    assert calls == ["shutdown"]


def test_dead_nodes_do_not_count(monkeypatch):
    table = [{"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}, {"Alive": False, "Resources": {"CPU": 64.0}}, {"Alive": True, "Resources": {}}]
    monkeypatch.setattr(ray, "nodes", lambda: table)
    assert [(node.cpus, node.gpus) for node in nodes()] == [(4.0, 1.0), (0.0, 0.0)]


LOSES_RAY = """
import threading, time, ray
from jobs.execution.connection import ray_session as module, ray_watch
from loretta_core.errors import InfrastructureError

class Gone:
    suspicious = False
    def __call__(self): return "Ray's raylet has ended"

ray.init = lambda **options: None
ray.shutdown = lambda: print("shutdown")
ray_watch.POLL_S = 0.05
module.OwnRay = Gone
try:
    with module.ray_session():
        time.sleep(60)
except InfrastructureError as error:
    print(error)
threading.Thread(target=time.sleep, args=(60,)).start()  # what Ray's library leaves running
"""


def test_a_dead_ray_is_left_alone_and_the_process_ends_with_its_exit_code():
    """`ray.shutdown` would end it with exit code 1, and at its end the process would wait for ever. (A real one: scenarios/test_ray_dies.py.)"""
    done = subprocess.run([sys.executable, "-c", LOSES_RAY], cwd=ROOT, capture_output=True, text=True, timeout=40)
    assert (done.returncode, done.stdout) == (3, "Ray's raylet has ended\n"), done.stderr
