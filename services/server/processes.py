"""Servers as child processes: start one, wait for its health check, stop its process group.

Each is a process group of its own, so that Ctrl-C reaches only the parent, which ends the groups and waits for them. Output goes to a log file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from loretta_core.errors import LorettaError

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.1


class StopRequested(Exception):
    """SIGTERM or Ctrl-C arrived."""


@dataclass(frozen=True)
class ServerSpec:
    """A server to start. `environment` is complete and the place for secrets: a command line is visible to every user of the machine."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    health: str
    """URL of the health check, which answers 200 once the server is ready."""
    log: Path


@contextmanager
def run_server(server: ServerSpec) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the context ends, then stop its process group. Raise LorettaError when it does not become healthy."""
    with server.log.open("wb") as output:
        process = subprocess.Popen(
            server.command, env=dict(server.environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_healthy(server, process)
        yield process
    finally:
        _terminate_group(process)


def wait_until_one_exits(servers: Mapping[str, subprocess.Popen[bytes]], *, logs: Mapping[str, Path]) -> None:
    """Wait until one of the servers exits and raise LorettaError with its name and the end of its log."""
    while True:
        for name, process in servers.items():
            if process.poll() is not None:
                raise LorettaError(f"{name} ended by itself, exit code {process.returncode}\n{last_lines(logs[name])}")
        time.sleep(POLL_S)


@contextmanager
def stop_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise StopRequested, once; a second one does not interrupt the stopping."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in previous:
            signal.signal(each, signal.SIG_IGN)
        raise StopRequested

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def last_lines(log: Path, *, count: int = 15) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


def _wait_until_healthy(server: ServerSpec, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LorettaError(f"{server.name} did not start, exit code {process.returncode}\n{last_lines(server.log)}")
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError), urllib.request.urlopen(server.health, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(POLL_S)
    raise LorettaError(f"{server.name} did not answer on {server.health} within {START_TIMEOUT_S:.0f} s\n{last_lines(server.log)}")


def _terminate_group(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group: SIGTERM, then SIGKILL."""
    _signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=STOP_TIMEOUT_S)
    _signal_group(process, signal.SIGKILL)  # what the main process left behind; nothing, if it stopped properly
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
