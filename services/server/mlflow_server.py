"""The MLflow server as a child process: on a sweep's SQLite data or on PostgreSQL, telemetry off, known Host headers only."""

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
from services.server.processes import ServerSpec, run_server
from services.server.settings import MlflowSettings

SQLITE_WORKERS, POSTGRESQL_WORKERS = "1", "2"
"""Worker processes by database: SQLite has one writer anyway, and each worker takes 250 MB."""

AUTH_CONFIG_NAME = "mlflow-auth.ini"
"""Configuration of MLflow's login in the output directory, unless MLFLOW_AUTH_CONFIG_PATH names another file."""


def mlflow_server(settings: MlflowSettings) -> ServerSpec:
    """Return the spec of the MLflow server."""
    return ServerSpec(
        name="the MLflow server",
        command=command(settings),
        environment=server_environment(os.environ, settings),
        health=f"{settings.url}/health",
        log=settings.out / "mlflow-server.log",
    )


@contextmanager
def run_mlflow_server(settings: MlflowSettings) -> Iterator[subprocess.Popen[bytes]]:
    """Run the MLflow server until the context ends, then stop it with its workers. Raise LorettaError when it does not start."""
    with _database_lock(settings.out) as lock:
        if not settings.store:
            _enable_wal(settings.out / "mlflow.db")
        if settings.authenticated and "MLFLOW_AUTH_CONFIG_PATH" not in os.environ:
            _write_auth_config(settings.out)
        with run_server(mlflow_server(settings)) as process:
            # The lock's file is not inherited (Python opens files so), or a server would keep it for good.
            fcntl.flock(lock, fcntl.LOCK_UN)
            yield process


def command(settings: MlflowSettings) -> list[str]:
    """Return the command line of the server, without the URL of the database, which may hold a password."""
    options = {
        "--host": settings.host,
        "--port": str(settings.port),
        "--workers": POSTGRESQL_WORKERS if settings.store else SQLITE_WORKERS,
        "--artifacts-destination": settings.artifacts or (settings.out / "mlartifacts").as_uri(),
        "--allowed-hosts": ",".join(settings.allowed_hosts),
        "--x-frame-options": "DENY",
    }
    authentication = ["--app-name", "basic-auth"] if settings.authenticated else []
    return [sys.executable, "-m", "mlflow", "server", *(part for option in options.items() for part in option), *authentication]


def server_environment(given: Mapping[str, str], settings: MlflowSettings) -> dict[str, str]:
    """Return the given environment with our settings on top: the database, no telemetry, no background jobs."""
    ours = {
        "MLFLOW_BACKEND_STORE_URI": settings.store or f"sqlite:///{settings.out / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_MODEL_CATALOG_URI": "",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    # The key signs the forms of the login pages; one per start is enough for one server.
    defaults = {"MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32)}
    if settings.authenticated:
        defaults["MLFLOW_AUTH_CONFIG_PATH"] = str(settings.out / AUTH_CONFIG_NAME)
    return {**defaults, **given, **ours}


def _write_auth_config(out: Path) -> None:
    """Write a login configuration that keeps users beside the runs; it holds no password.

    MLflow's own default is a database in whatever directory the server was started from.
    """
    database = out / "mlflow-users.db"
    (out / AUTH_CONFIG_NAME).write_text(f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{database}\nadmin_username = admin\n", encoding="utf-8")


def _enable_wal(database: Path) -> None:
    """Put the SQLite file into write-ahead mode, where readers do not wait for the writer. Raise ConfigError when it is no database."""
    try:
        with closing(sqlite3.connect(database, timeout=30)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise ConfigError(f"{database}: cannot be used as MLflow's database ({error})") from None


@contextmanager
def _database_lock(out: Path) -> Iterator[TextIO]:
    """Hold the lock that sweeps take too: several processes that migrate a fresh database at once can break it for good."""
    with (out / ".mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
