"""The reaper removes the session directory of a driver that was killed, and the processes that were started with it."""

import subprocess
import sys
import time
from pathlib import Path

from jobs.execution.connection.reaper import reaped_session_directory
from tests.paths import ROOT

DRIVER = """
import subprocess, sys, time
from jobs.execution.connection.reaper import reaped_session_directory
with reaped_session_directory() as directory:
    agent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "/x/ray/agent.py", str(directory)], start_new_session=True)
    print(directory, agent.pid, flush=True)
    time.sleep(60)
"""


def test_a_driver_that_ends_by_itself_leaves_nothing():
    with reaped_session_directory() as directory:
        assert (directory / "owner").is_file()
    assert not directory.exists()


def test_a_killed_driver_leaves_nothing_for_long():
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    with driver.stdout:
        directory, agent = driver.stdout.readline().split()
    driver.kill()
    driver.wait()
    deadline = time.monotonic() + 30
    while (Path(directory).exists() or Path(f"/proc/{agent}/cmdline").exists()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(directory).exists()
    assert not Path(f"/proc/{agent}/cmdline").exists()
