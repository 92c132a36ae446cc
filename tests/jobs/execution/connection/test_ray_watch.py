"""A Ray that dies ends what is computed with it: with an error in the main thread, or, where that hangs, with the process."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from jobs.execution.connection import ray_watch
from jobs.execution.connection.ray_watch import JoinedRay, OwnRay, RayWatch
from loretta_core.errors import ConfigError, InfrastructureError
from tests.paths import ROOT


class Fake:
    """A probe whose Ray dies when it is told to."""

    def __init__(self, died=""):
        self.died = died
        self.suspicious = False

    def __call__(self):
        return self.died


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(ray_watch, "POLL_S", 0.02)
    monkeypatch.setattr(ray_watch, "RAISE_EVERY_S", 0.1)
    monkeypatch.setattr(ray_watch, "CONFIRM_S", 0.1)
    monkeypatch.setattr(ray_watch, "PARTING_S", 30.0)


def watched(probe, body):
    before = signal.getsignal(signal.SIGUSR2)
    watch = RayWatch(probe, lambda died: f"{died}; 3 of 7 cells are finished")
    try:
        with watch.block():
            body()
    finally:
        watch.over()
        assert signal.getsignal(signal.SIGUSR2) == before


def test_a_ray_that_lives_does_not_raise():
    watched(Fake(), lambda: time.sleep(0.1))


def test_what_waits_is_ended_even_where_a_library_catches_once():
    def stubborn():
        try:
            time.sleep(60)
        except BaseException:
            time.sleep(60)

    begun = time.monotonic()
    with pytest.raises(InfrastructureError, match="the raylet has ended; 3 of 7 cells are finished"):
        watched(Fake("the raylet has ended"), stubborn)
    assert time.monotonic() - begun < 10


def test_an_error_that_comes_of_it_is_replaced_and_no_other():
    probe = Fake()

    def die(error):
        probe.died = "the GCS has ended"
        raise error

    with pytest.raises(InfrastructureError, match="the GCS has ended"):
        watched(probe, lambda: die(RuntimeError("page of text")))
    with pytest.raises(ConfigError, match="ours"):
        watched(Fake(), lambda: (_ for _ in ()).throw(ConfigError("ours")))
    with pytest.raises(RuntimeError, match="another"):
        watched(Fake(), lambda: (_ for _ in ()).throw(RuntimeError("another")))


HANGING = """
import signal, threading, time
from jobs.execution.connection import ray_watch
ray_watch.POLL_S = ray_watch.RAISE_EVERY_S = 0.05
ray_watch.PARTING_S = 0.5

class Gone:
    suspicious = False
    def __call__(self): return "Ray is gone"

with ray_watch.RayWatch(Gone(), str).block():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})  # as deaf as a thread in a call of Ray
    time.sleep(60)
"""


def test_a_process_that_hangs_is_ended_with_the_message():
    done = subprocess.run([sys.executable, "-c", HANGING], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (3, "error: Ray is gone\n")


def test_our_own_ray_is_two_children_of_this_process():
    probe = OwnRay()
    assert probe() == ""
    child = subprocess.Popen(["/bin/sh", "-c", "exec -a raylet sleep 60"], executable="/bin/bash")
    try:
        named = psutil.Process(child.pid)
        probe.seen["raylet"] = named
        assert probe() == ""
        child.kill()
        while named.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert f"raylet on this machine, process {child.pid}, has ended" in probe()
    finally:
        child.kill()
        child.wait()


def test_a_head_that_does_not_answer_for_a_while_is_gone(monkeypatch):
    monkeypatch.setattr(ray_watch, "GCS_PATIENCE_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        probe = JoinedRay(address, raylet_socket=f"/none/{os.getpid()}")
        assert (probe(), probe.suspicious) == ("", False)
    assert (probe(), probe.suspicious) == ("", True)
    time.sleep(0.06)
    assert f"the head of the Ray cluster at {address} has not answered" in probe()
