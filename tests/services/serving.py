"""Run `loretta serve` in a process of its own, and look at the processes that it starts."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from tests.paths import ROOT


@contextmanager
def serving(out, *arguments, environment=None):
    """Run `loretta serve` on free ports and yield the process and its first lines."""
    command = [sys.executable, "-m", "services.cli", "serve", "--port", "0", "--mlflow-port", "0", "--out", str(out), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **(environment or {})})
    try:
        assert process.stdout is not None
        yield process, [process.stdout.readline() for _ in range(2)]
    finally:
        process.terminate()  # ends the servers too; after a success there is nothing left to end
        process.wait(timeout=30)
        process.stdout.close()


def child_processes(pid):
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *child_processes(int(child))]
    return found


def is_alive(pid):
    for _ in range(20):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True
