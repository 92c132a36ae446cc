"""The setup of MLflow for a sweep, done once before any worker connects: database, experiment, parent run.

Several processes that open a fresh SQLite file at once race in its migrations and can leave it broken for good, so the first opening happens under a file
lock. So can a kill in the middle of them: a new file is made beside its place and appears there when it is complete. One experiment per sweep, in it one parent
run per sweep; the runs of cells are its children (see `mlflow_sink.py`).
"""

from __future__ import annotations

import fcntl
import getpass
import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from loretta_core.errors import ConfigError
from loretta_core.store.notes.sent import without_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

DATABASE = "mlflow.db"
"""Name of the SQLite file in the output directory, used unless another store is named."""

PARENT_TAG = "loretta.sweep"
"""Tag of a sweep's parent run; its value is the sweep's name."""

KIND_TAG = "mlflow.experimentKind"
"""MLflow's tag with which its pages show training runs and models, and not agents and evaluations."""

_SERVERS = ("http:", "https:", "databricks")
"""Beginnings of URIs of what keeps artifacts itself. A database does not, and MLflow would put them into the working directory."""

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_MODEL_CATALOG_URI": "",
    # Seven retries, the default, would block a training loop for four minutes when the server is down.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


@dataclass(frozen=True)
class Tracking:
    """The MLflow experiment and parent run of a sweep; small and picklable."""

    uri: str
    experiment_id: str
    parent_run_id: str
    out: str = ""
    """Output directory of the sweep, which its runs are tagged with."""
    sweep: str = ""
    """Name of the sweep."""
    max_upload_mib: float = 100.0
    """Trained weights up to this size are copied."""
    source_tags: Mapping[str, str] = field(default_factory=dict)
    """MLflow's own tags for who started what."""


def default_uri(out: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or the URI of a SQLite file in the output directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(out)


def sqlite_uri(out: Path) -> str:
    """Return the URI of the SQLite file in an output directory."""
    return f"sqlite:///{(out / DATABASE).resolve()}"


def connect(uri: str) -> MlflowClient:
    """Return a client of a tracking store, with MLflow's log output, telemetry and long retries off."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient  # after the environment; and 2 s of import that a sweep with nothing to run need not pay

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong reaches us as an exception, and people in one line
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def prepare(uri: str, *, name: str, out: Path, max_upload_mib: float = 100.0) -> Tracking:
    """Create what is missing: database, experiment, parent run. Raises ConfigError when the store cannot be used."""
    source = source_tags(name)
    try:
        with (out / ".mlflow.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if uri == sqlite_uri(out):
                _create_database(out / DATABASE)
            client = connect(uri)
            experiment = _experiment(client, name, artifacts=None if uri.startswith(_SERVERS) else out / "mlartifacts")
            parent = _parent(client, experiment.experiment_id, name, tags=source)
        return Tracking(uri, experiment.experiment_id, parent.info.run_id, str(out.resolve()), name, max_upload_mib, source)
    except Exception as error:
        raise ConfigError(
            f"MLflow at {without_credentials(uri)} cannot be used ({type(error).__name__}: {_first_line(error)}); start it, or give another --tracking-uri"
        ) from error


def source_tags(name: str) -> dict[str, str]:
    """Return MLflow's own tags for who started what."""
    try:
        user = {"mlflow.user": getpass.getuser()}
    except (OSError, KeyError):  # a container's user without a name
        user = {}
    return {**user, "mlflow.source.name": f"loretta sweep {name}", "mlflow.source.type": "LOCAL"}


def _create_database(path: Path) -> None:
    """Create the SQLite file atomically: with all its tables, or not at all. Does nothing if there is one."""
    if path.exists():
        return
    draft, copy = (path.with_name(f".{path.name}.{suffix}") for suffix in ("draft", "copy"))
    for leftover in (draft, draft.with_name(f"{draft.name}-journal"), copy):
        leftover.unlink(missing_ok=True)
    connect(f"sqlite:///{draft.resolve()}").search_experiments(max_results=1)
    shutil.copyfile(draft, copy)  # MLflow keeps the draft open; nothing is written to it any more
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    copy.replace(path)
    draft.unlink()


def _experiment(client: MlflowClient, name: str, *, artifacts: Path | None) -> Experiment:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = (artifacts / name).resolve().as_uri() if artifacts else None
        return client.get_experiment(client.create_experiment(name, artifact_location=location, tags={KIND_TAG: "custom_model_development"}))
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return experiment


def _parent(client: MlflowClient, experiment_id: str, name: str, *, tags: Mapping[str, str]) -> Run:
    existing = client.search_runs([experiment_id], filter_string=f"tags.`{PARENT_TAG}` = '{name}'", max_results=1)
    if existing:
        client.update_run(existing[0].info.run_id, status="RUNNING")
        return existing[0]
    return client.create_run(experiment_id, start_time=int(time.time() * 1000), tags={PARENT_TAG: name, **tags}, run_name=name)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
