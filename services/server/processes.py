"""Servers of ours as child processes: started, waited for until they answer, and gone when we are.

Each is a process group of its own, so that a Ctrl-C reaches only us; we end the groups and wait until they are gone. What they print goes to a log file.
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


class Stopped(Exception):
    """SIGTERM or Ctrl-C arrived."""


@dataclass(frozen=True)
class Server:
    """What to start. `environment` is all of it, and the place for secrets: a command line is visible to every user of the machine."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    health: str
    """Address that answers 200 once the server is ready."""
    log: Path


@contextmanager
def running(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """The server, answering; on exit it and all its workers are gone. Raises LorettaError when it does not come up."""
    with server.log.open("wb") as output:
        process = subprocess.Popen(
            server.command, env=dict(server.environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_healthy(server, process)
        yield process
    finally:
        _stop(process)


def wait_for_one(servers: Mapping[str, subprocess.Popen[bytes]], *, logs: Mapping[str, Path]) -> None:
    """Wait until one of them ends by itself, and raise LorettaError that says which, and its last words."""
    while True:
        for name, process in servers.items():
            if process.poll() is not None:
                raise LorettaError(f"{name} ended by itself, exit code {process.returncode}\n{tail(logs[name])}")
        time.sleep(POLL_S)


@contextmanager
def stop_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise Stopped, once; a second one does not interrupt the stopping."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in previous:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def tail(log: Path, *, lines: int = 15) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _wait_until_healthy(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LorettaError(f"{server.name} did not start, exit code {process.returncode}\n{tail(server.log)}")
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError), urllib.request.urlopen(server.health, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(POLL_S)
    raise LorettaError(f"{server.name} did not answer on {server.health} within {START_TIMEOUT_S:.0f} s\n{tail(server.log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole group: kindly, then for certain."""
    _signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=STOP_TIMEOUT_S)
    _signal_group(process, signal.SIGKILL)  # what the main process left behind; nothing, if it stopped properly
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
