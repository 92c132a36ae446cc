"""A real `ray start --head` with token authentication on, and nothing of it left afterwards."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

START_S = 120
STARTS = 3


@dataclass(frozen=True)
class Head:
    """The addresses of a running Ray and the token that it demands."""

    address: str
    dashboard: str
    token: str
    environment: dict[str, str]
    """The environment of a user who has the token."""


@contextmanager
def ray_head(*, cpus: int) -> Iterator[Head]:
    """Start on free ports, in a directory of its own; stop every process that knows this directory."""
    for _ in range(STARTS):
        with _started(cpus=cpus) as running:
            if running is not None:
                yield running
                return
    raise TimeoutError(f"Ray did not come up in {STARTS} attempts")


@contextmanager
def _started(*, cpus: int) -> Iterator[Head | None]:
    """One attempt; None when Ray gave up, as it does when the machine is too busy to start a node in half a minute."""
    scratch = Path(tempfile.mkdtemp(prefix="lor-t-", dir="/tmp"))  # short: Ray puts sockets there
    gcs, dashboard, agent, client = free_ports(4)
    token = secrets.token_hex(32)
    environment = user_environment(scratch, token=token)
    options = {
        "port": gcs,
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": agent,
        "ray-client-server-port": client,
        "min-worker-port": 0,
        "max-worker-port": 0,
        "num-cpus": cpus,
        "object-store-memory": 150_000_000,
        "dashboard-host": "127.0.0.1",
        "node-ip-address": "127.0.0.1",
        "temp-dir": scratch / "ray",
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
    command += [f"--{name}={value}" for name, value in options.items()]
    log = scratch / "head.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        up = _is_up(dashboard, process, log)
        yield None if not up else Head(f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", token, environment)
    finally:
        stop_all(process.pid, mark=str(scratch))
        process.wait(30)
        shutil.rmtree(scratch, ignore_errors=True)


def user_environment(home: Path, *, token: str | None) -> dict[str, str]:
    """The environment of a shell in which no Ray was ever used; with a token in a file that only its user reads, or without."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    keep["PATH"] = f"{Path(sys.executable).parent}:{keep['PATH']}"  # `python` in a job is this one
    # Ray runs its workers at niceness 15: on a machine that does something else too, a test would wait for minutes.
    environment = {**keep, "HOME": str(home), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_worker_niceness": "0"}
    if token is None:
        return environment
    file = home / "token"
    file.touch(mode=0o600)
    file.write_text(token)
    return {**environment, "RAY_AUTH_TOKEN_PATH": str(file)}


def stop_all(pid: int, *, mark: str = "") -> None:
    """End a process with all its descendants, and everything else whose command line holds `mark`: daemons that left the family."""
    found = {process.pid: process for process in psutil.process_iter() if mark and mark in _command_line(process)}
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(pid)
        found |= {process.pid: process for process in [family, *family.children(recursive=True)]}
    for process in found.values():
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found.values(), timeout=30)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _is_up(port: int, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Wait for the node and for the dashboard, which may listen before the node is there."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert "timed out during startup" in log.read_text(), f"ray start ended: {log.read_text()[-3000:]}"
            return False
        if "Ray runtime started" in log.read_text():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        time.sleep(0.2)
    raise TimeoutError(f"no Ray after {START_S} s: {log.read_text()[-3000:]}")
