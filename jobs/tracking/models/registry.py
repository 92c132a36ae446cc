"""Registration of a finished cell in MLflow's model registry: a version of a registered model, and an alias for it if wanted.

    models:/NAME@ALIAS ──► version ──► logged model of the cell's run (`logged_model.py`)

The cell is sent to MLflow first if it is not there; its weights go along whatever their size, since who registers a model wants it there. The same cell
under the same name is one version, however often it is registered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jobs.failures.outcome import Outcome
from jobs.tracking.facts.sweep_facts import SweepFacts
from jobs.tracking.mlflow_setup import Tracking, connect, default_uri, prepare
from jobs.tracking.mlflow_sink import MlflowSink
from jobs.tracking.models import logged_model
from loretta_core.config import CellConfig
from loretta_core.errors import ConfigError, InfrastructureError
from loretta_core.store.layout import cell_directory
from loretta_core.store.manifest import read_manifest, sweep_names
from loretta_core.store.notes.sent import find_sent, without_credentials
from loretta_core.store.records import Record

_NAME = re.compile(r"[^/:@%\"']+")
_ALIAS = re.compile(r"(?!(?:v\d+|latest)$)[\w-]+", re.IGNORECASE)

MODEL_TAG = "model_id"
"""Tag of a version: the logged model that it was made from, which MLflow itself keeps only for URIs of its own."""

UNSWEPT = "cells"
"""Experiment of a cell that no sweep names."""


@dataclass(frozen=True)
class Registered:
    """A version of a registered model."""

    name: str
    version: str
    alias: str = ""

    @property
    def uri(self) -> str:
        """Its URI, which `mlflow.pyfunc.load_model` takes."""
        return f"models:/{self.name}@{self.alias}" if self.alias else f"models:/{self.name}/{self.version}"

    @property
    def text(self) -> str:
        """The registration and the line that loads it again."""
        return f"registered as {self.uri} (version {self.version}); load it with\n  mlflow.pyfunc.load_model({self.uri!r}).get_raw_model()"


def parse_name(text: str) -> tuple[str, str]:
    """Return name and alias of `NAME[@alias]`. Raises ConfigError."""
    name, separator, alias = text.partition("@")
    if not _NAME.fullmatch(name.strip()) or (separator and not _ALIAS.fullmatch(alias)):
        raise ConfigError(
            f"--register {text!r}: expected NAME or NAME@alias; a name has none of / : @ % and quotes, an alias has letters, digits, - and _, "
            'and is neither "latest" nor v with a number'
        )
    return name.strip(), alias


def register(cell: CellConfig, record: Record, *, out: Path, name: str, alias: str = "", tracking_uri: str = "") -> Registered:
    """Make a version of a registered model from a finished cell.

    Raises ConfigError when MLflow cannot be used, InfrastructureError when it stops answering.
    """
    tracking = prepare(tracking_uri or default_uri(out), name=_sweep_of(cell, out), out=out)
    client = connect(tracking.uri)
    try:
        run_id = _sent_run(cell, tracking, out=out)
        place = logged_model.RunPlace(tracking, run_id, cell_directory(out, cell.cell_id), whole=True)
        part = SweepFacts(out, name=tracking.sweep).part(cell)
        model_id = logged_model.send_model(client, place, cell=cell, record=record, part=part)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        known = [version for version in client.search_model_versions(f"name = '{name}'") if version.tags.get(MODEL_TAG) == model_id]
        # By its place: a models:/ URI is looked up in the store of the process, which need not be this one.
        source, tags = client.get_logged_model(model_id).artifact_location, {"cell_id": cell.cell_id, MODEL_TAG: model_id}
        version = known[0] if known else client.create_model_version(name, source, run_id, model_id=model_id, tags=tags)
        if alias:
            client.set_registered_model_alias(name, alias, version.version)
    except Exception as error:  # a process edge: MLflow's clients raise anything
        raise InfrastructureError(f"MLflow at {without_credentials(tracking.uri)} does not register {name!r} ({type(error).__name__}: {error})") from error
    return Registered(name, str(version.version), alias)


def _sent_run(cell: CellConfig, tracking: Tracking, *, out: Path) -> str:
    """Return the run of a cell, which is sent if it is not there."""
    directory, to = cell_directory(out, cell.cell_id), without_credentials(tracking.uri)
    if find_sent(directory, sink="mlflow", to=to, sweep=tracking.sweep) is None:
        sink = MlflowSink(tracking, cell, directory=directory)
        sink.end_run(Outcome(cell.cell_id, "finished"))
        if sink.problem:
            raise ConnectionError(sink.problem)
    note = find_sent(directory, sink="mlflow", to=to, sweep=tracking.sweep)
    assert note is not None, "a finished cell that was sent has a note"
    return note.run_id


def _sweep_of(cell: CellConfig, out: Path) -> str:
    """Return the name of the newest sweep that a cell is part of."""
    return next((name for name in sweep_names(out) if cell.cell_id in read_manifest(out, name=name).resolved), UNSWEPT)
