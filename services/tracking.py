"""The MLflow server, started right: on a sweep's SQLite data, telemetry off, one worker, known Host headers only, gone when we are.

The server is a process group of its own. A Ctrl-C reaches only us; we end the group and wait until it is gone.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TextIO

from loretta_core.errors import LorettaError
from services.settings import ServerSettings

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.1


class Stopped(Exception):
    """SIGTERM or Ctrl-C arrived."""


def serve_until_stopped(settings: ServerSettings) -> int:
    """Start the server, say where it is, wait. Returns 0 after Ctrl-C or SIGTERM. Raises LorettaError when it does not come up or dies."""
    log = settings.out / "mlflow-server.log"
    with _stop_signals(), suppress(Stopped), running_server(settings, log=log) as process:
        print(f"MLflow UI: {settings.url}  (data: {settings.out}, log: {log.name} there). Ctrl-C stops it.", flush=True)
        process.wait()
        raise LorettaError(f"the MLflow server ended by itself, exit code {process.returncode}\n{_tail(log)}")
    print("stopped", flush=True)
    return 0


@contextmanager
def running_server(settings: ServerSettings, *, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The server, answering on /health; on exit it and all its workers are gone."""
    with _database_lock(settings.out) as lock, log.open("wb") as output:
        # The lock's file is not inherited (Python opens files so), or a server would keep it for good.
        process = subprocess.Popen(
            command(settings), env=server_environment(os.environ), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait_until_healthy(settings, process, log=log)
            fcntl.flock(lock, fcntl.LOCK_UN)
            yield process
        finally:
            _stop(process)


def command(settings: ServerSettings) -> list[str]:
    """The command line of the server."""
    database = f"sqlite:///{settings.out / 'mlflow.db'}"
    options = {
        "--host": settings.host,
        "--port": str(settings.port),
        "--workers": "1",  # SQLite has one writer anyway, and each worker takes 250 MB
        "--backend-store-uri": database,
        "--artifacts-destination": (settings.out / "mlartifacts").as_uri(),
        "--allowed-hosts": ",".join(settings.allowed_hosts),
        "--x-frame-options": "DENY",
    }
    authentication = ["--app-name", "basic-auth"] if settings.authenticated else []
    return [sys.executable, "-m", "mlflow", "server", *(part for option in options.items() for part in option), *authentication]


def server_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Ours on top of the given one: nothing is sent anywhere, no background jobs."""
    ours = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_MODEL_CATALOG_URI": "", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    # It signs the forms of the login pages; a key per start is enough for one server.
    return {"MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32), **given, **ours}


@contextmanager
def _database_lock(out: Path) -> Iterator[TextIO]:
    """A sweep that starts at the same moment must not migrate the fresh database too: several processes at once can break it for good."""
    with (out / ".mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _wait_until_healthy(settings: ServerSettings, process: subprocess.Popen[bytes], *, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LorettaError(f"the MLflow server did not start, exit code {process.returncode}\n{_tail(log)}")
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError), urllib.request.urlopen(f"{settings.url}/health", timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(POLL_S)
    raise LorettaError(f"the MLflow server did not answer on {settings.url}/health within {START_TIMEOUT_S:.0f} s\n{_tail(log)}")


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


@contextmanager
def _stop_signals() -> Iterator[None]:
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


def _tail(log: Path, *, lines: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
