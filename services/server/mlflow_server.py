"""The MLflow server, started right: on a sweep's SQLite data or on PostgreSQL, telemetry off, known Host headers only."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TextIO

from loretta_core.errors import ConfigError
from services.server.processes import Server, running
from services.server.settings import ServerSettings

SQLITE_WORKERS, DATABASE_WORKERS = "1", "2"
"""SQLite has one writer anyway; each worker takes 250 MB."""
USER_SETTINGS = "mlflow-auth.ini"
"""In the output directory; MLFLOW_AUTH_CONFIG_PATH names another one."""


def mlflow_server(settings: ServerSettings) -> Server:
    """What to start."""
    return Server(
        name="the MLflow server",
        command=command(settings),
        environment=server_environment(os.environ, settings),
        health=f"{settings.url}/health",
        log=settings.out / "mlflow-server.log",
    )


@contextmanager
def running_mlflow(settings: ServerSettings) -> Iterator[subprocess.Popen[bytes]]:
    """The server, answering; on exit it and all its workers are gone. Raises LorettaError when it does not come up."""
    with _database_lock(settings.out) as lock:
        if not settings.store:
            _write_ahead(settings.out / "mlflow.db")
        if settings.authenticated and "MLFLOW_AUTH_CONFIG_PATH" not in os.environ:
            _write_user_settings(settings.out)
        with running(mlflow_server(settings)) as process:
            # The lock's file is not inherited (Python opens files so), or a server would keep it for good.
            fcntl.flock(lock, fcntl.LOCK_UN)
            yield process


def command(settings: ServerSettings) -> list[str]:
    """The command line of the server. The database is not in it: its URL may hold a password."""
    options = {
        "--host": settings.host,
        "--port": str(settings.port),
        "--workers": DATABASE_WORKERS if settings.store else SQLITE_WORKERS,
        "--artifacts-destination": settings.artifacts or (settings.out / "mlartifacts").as_uri(),
        "--allowed-hosts": ",".join(settings.allowed_hosts),
        "--x-frame-options": "DENY",
    }
    authentication = ["--app-name", "basic-auth"] if settings.authenticated else []
    return [sys.executable, "-m", "mlflow", "server", *(part for option in options.items() for part in option), *authentication]


def server_environment(given: Mapping[str, str], settings: ServerSettings) -> dict[str, str]:
    """Ours on top of the given one: the database, nothing is sent anywhere, no background jobs."""
    ours = {
        "MLFLOW_BACKEND_STORE_URI": settings.store or f"sqlite:///{settings.out / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_MODEL_CATALOG_URI": "",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    # The key signs the forms of the login pages; one per start is enough for one server.
    defaults = {"MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32)}
    if settings.authenticated:
        defaults["MLFLOW_AUTH_CONFIG_PATH"] = str(settings.out / USER_SETTINGS)
    return {**defaults, **given, **ours}


def _write_user_settings(out: Path) -> None:
    """Users live beside the runs; MLflow's own default is a file in whatever directory the server was started from. Holds no password."""
    database = out / "mlflow-users.db"
    (out / USER_SETTINGS).write_text(f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{database}\nadmin_username = admin\n", encoding="utf-8")


def _write_ahead(database: Path) -> None:
    """Readers do not wait for the writer then. The mode is a property of the file; raises ConfigError when it is no database."""
    try:
        with closing(sqlite3.connect(database, timeout=30)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise ConfigError(f"{database}: cannot be used as MLflow's database ({error})") from None


@contextmanager
def _database_lock(out: Path) -> Iterator[TextIO]:
    """A sweep that starts at the same moment must not migrate the fresh database too: several processes at once can break it for good."""
    with (out / ".mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
