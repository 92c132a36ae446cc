"""One driver per output directory; a dead one does not keep it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from jobs import sweep
from jobs.storage import lock
from jobs.storage.lock import STALE_S, output_lock
from loretta_core.errors import OutputError
from tests.paths import ROOT

HOLD = """
import sys, time
from pathlib import Path
from jobs.storage.lock import output_lock
with output_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(out):
    """Another process that holds the lock of `out`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(out)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_refusal_names_the_owner_and_the_way_out(out, holder):
    with pytest.raises(OutputError) as error, output_lock(out):
        pass
    for part in (str(out), f"process {holder.pid} on {socket.gethostname()}", "--out", str(out / ".lock")):
        assert part in str(error.value)


def test_a_killed_owner_gives_the_lock_back(out, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert json.loads((out / ".lock").read_text())["pid"] == holder.pid  # it had no time to clean up
    with output_lock(out):
        assert json.loads((out / ".lock").read_text())["pid"] == os.getpid()
    assert (out / ".lock").read_text() == ""


def test_taking_the_lock_twice_in_a_row_does_not_raise(out):
    for _ in range(2):
        with output_lock(out):
            pass


def test_the_lock_of_another_machine_counts_while_it_is_fresh(out, monkeypatch):
    path = out / ".lock"
    path.write_text(json.dumps({"pid": 17, "host": "elsewhere", "since": "2026-01-01", "command": "loretta sweep a.toml"}))
    with pytest.raises(OutputError, match="process 17 on elsewhere since 2026-01-01"), output_lock(out):
        pass
    assert json.loads(path.read_text())["host"] == "elsewhere"
    monkeypatch.setattr(lock, "WATCH_S", 0.1)
    old = path.stat().st_mtime - STALE_S - 1
    os.utime(path, (old, old))
    with output_lock(out):
        assert json.loads(path.read_text())["host"] == socket.gethostname()


@pytest.mark.parametrize("jump_s", [-86400.0, 86400.0])
def test_a_clock_that_was_set_neither_opens_nor_closes_the_lock_of_another_machine(jump_s, out, monkeypatch):
    path, clock = out / ".lock", time.time
    path.write_text(json.dumps({"pid": 17, "host": "elsewhere", "since": "2026-01-01", "command": "loretta sweep a.toml"}))
    monkeypatch.setattr(time, "time", lambda: clock() + jump_s)
    monkeypatch.setattr(lock, "WATCH_S", 1.0)
    refresher = threading.Timer(0.3, os.utime, (path,))
    refresher.start()
    with pytest.raises(OutputError, match="process 17 on elsewhere"), output_lock(out):
        pass
    refresher.join()
    with output_lock(out):  # nobody refreshes it any more
        assert json.loads(path.read_text())["host"] == socket.gethostname()


def test_a_lock_that_is_held_stays_fresh(out, monkeypatch):
    monkeypatch.setattr(lock, "REFRESH_S", 0.02)
    with output_lock(out):
        path = out / ".lock"
        os.utime(path, (0, 0))
        for _ in range(200):
            if path.stat().st_mtime > 1e9:
                break
            time.sleep(0.02)
        assert path.stat().st_mtime > 1e9


@pytest.mark.parametrize("text", ["", "not JSON", "17", '{"pid": 17}'])
def test_a_lock_file_with_anything_in_it_is_taken(text, out):
    (out / ".lock").write_text(text)
    with output_lock(out):
        assert json.loads((out / ".lock").read_text())["pid"] == os.getpid()


def test_a_lock_file_that_is_deleted_meanwhile_does_not_raise(out, monkeypatch):
    monkeypatch.setattr(lock, "REFRESH_S", 0.01)
    with output_lock(out):
        (out / ".lock").unlink()
        time.sleep(0.1)  # ten refreshes; one that raised would end the thread, which pytest reports


def test_a_second_driver_is_refused_before_it_touches_anything(out, holder, tmp_path, capsys):
    file = tmp_path / "a.toml"
    file.write_text('include = [{model = "toy-bert", task = "toy_sentiment", method = "lora", trainer = "adam"}]')
    assert sweep.main([str(file), "--out", str(out)]) == 2
    assert f"in use by process {holder.pid}" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == [".lock", "FORMAT.json"]
