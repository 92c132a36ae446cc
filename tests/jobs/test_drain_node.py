"""`python -m jobs.drain_node`: which node, which of its processes, and what it says when something is left. (On real nodes: tests/cluster/test_netns.py.)"""

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from jobs import drain_node
from jobs.drain_node import Raylet

RAYLET = ["/site-packages/ray/core/src/ray/raylet/raylet", "--node_id=ab12", "--gcs-address=10.0.0.1:6379", "--head", "--labels="]


def process(*words, children=()):
    return SimpleNamespace(cmdline=lambda: list(words), children=lambda: list(children))


def test_a_node_is_found_by_its_raylet_and_only_what_computes_is_told(monkeypatch):
    children = [
        process(title)
        for title in ("ray::RayTrainWorker.poll_status", "ray::CellWorker.work", "ray::CellQueue", "ray::ImplicitFunc.train", "ray::TrainController.run", "")
    ]
    monkeypatch.setattr(psutil, "process_iter", lambda: [process("bash"), process(), process(*RAYLET, children=children)])
    (found,) = drain_node.raylets()
    assert (found.node_id, found.gcs_address) == ("ab12", "10.0.0.1:6379")
    assert found.computing() == [children[0], children[1], children[3]]


@pytest.mark.parametrize(
    ("ids", "arguments", "message"),
    [
        ((), [], "expected one Ray node here, found 0"),
        (("ab", "cd"), [], "expected one Ray node here, found 2; --node says which\n  ab\n  cd"),
        (("ab", "cd"), ["--node", "ef"], "expected one Ray node here with id ef, found 0"),
    ],
)
def test_it_must_be_clear_which_node(ids, arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(drain_node, "raylets", lambda: [Raylet(process(), node_id, "") for node_id in ids])
    assert drain_node.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_what_does_not_end_in_time_is_counted_and_said(monkeypatch, capsys):
    stubborn = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for code in ("import time; print('ready', flush=True); time.sleep(60)", stubborn)
    ]
    try:
        for each in started:
            assert each.stdout.readline() == b"ready\n"
        raylet = SimpleNamespace(node_id="ab", computing=lambda: [psutil.Process(each.pid) for each in started])
        monkeypatch.setattr(drain_node, "raylets", lambda: [raylet])
        monkeypatch.setattr(drain_node, "drain", lambda raylet, within_s: None)
        assert drain_node.main(["--within", "1"]) == 1
        assert "error: 1 of its processes did not end within 1 s" in capsys.readouterr().err
        assert started[1].poll() is None
    finally:
        for each in started:
            each.kill()
            each.communicate()
