"""The note of where a cell has been sent: a tracking store is taken to have its metrics, weights and facts only once this note says so.

    OUT/cells/<cell_id>/sent.json, OUT/sweeps/<name>/sent.json      the cell, and what the sweep found

    [{"sink": "mlflow", "to": "http://mlflow:5000", "sweep": "ranks", "run_id": …}, …]

A cell may be part of several sweeps, and be sent to several stores. A note that is damaged is none: sending again changes nothing in the store.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from loretta_core.store.layout import ARRIVED_NAME
from loretta_core.store.output_dir import write_atomically


class Sent(BaseModel):
    """One store that has all of a cell."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    sink: str
    """mlflow, tensorboard or wandb."""
    to: str
    """URI of the store, without credentials; for files, their directory."""
    sweep: str
    """Name of the sweep, which is the experiment or project there."""
    run_id: str = ""
    experiment_id: str = ""
    model_id: str = ""
    """The logged model with the trained weights; MLflow only."""
    facts: str = ""
    """Digest of what was said of the cell's part in its sweep; another one is to be said now."""


_NOTES = TypeAdapter(list[Sent])


def read_sent(directory: Path) -> list[Sent]:
    """Return where a cell has been sent, the last one last; empty where it was not, or where the note is damaged."""
    try:
        return _NOTES.validate_json((directory / ARRIVED_NAME).read_bytes())
    except (OSError, ValidationError):
        return []


def find_sent(directory: Path, *, sink: str, to: str, sweep: str) -> Sent | None:
    """Return the note of one store and sweep, None if the cell is not all there."""
    return next((note for note in read_sent(directory) if (note.sink, note.to, note.sweep) == (sink, to, sweep)), None)


def note_sent(directory: Path, note: Sent) -> None:
    """Write into a cell's directory that a store has all of it; replaces the note of the same store and sweep."""
    others = [each for each in read_sent(directory) if (each.sink, each.to, each.sweep) != (note.sink, note.to, note.sweep)]
    write_atomically(directory / ARRIVED_NAME, _NOTES.dump_json([*others, note], indent=1).decode())


def without_credentials(uri: str) -> str:
    """Return a URI without user, password and query, as it may be written down."""
    if "@" not in uri and "?" not in uri:
        return uri
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
