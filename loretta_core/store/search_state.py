"""The samples that results suggested, on disk: OUT/sweeps/<name>/search.json.

Written before the first cell of a round begins. What was drawn stays drawn: a sweep that was killed goes on with the same cells, whatever became of a cell that
failed before, and whichever version of the sampler is installed by then.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from loretta_core.config import SweepConfig
from loretta_core.config.sweep.search import Search
from loretta_core.store.manifest import sweep_directory
from loretta_core.store.records import FORMAT, write_atomically

DRAWN_NAME = "search.json"


class Notes(BaseModel):
    """What was drawn for one [search]."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: int = FORMAT
    search: str
    """Digest of the settings that decide what is drawn; `samples` is not one of them, so that a search can go on."""
    points: dict[str, list[dict[str, Any]]]
    """Point of the grid → its samples, in the order of the rounds."""


def restore_search(config: SweepConfig, out: Path) -> SweepConfig:
    """The sweep with the samples that it drew before; itself, where all cells are known beforehand."""
    if config.rounds is None:
        return config
    try:
        notes = Notes.model_validate_json(_path(out, config.name).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValidationError, UnicodeDecodeError):
        return config  # a damaged file costs nothing: the same results suggest the same samples
    return config.grown(notes.points) if notes.search == _digest(config.rounds.search) and notes.format == FORMAT else config


def write_search_state(config: SweepConfig, out: Path) -> None:
    """Note what the sweep has drawn so far, atomically."""
    assert config.rounds is not None
    path = _path(out, config.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    points = {point: list(samples) for point, samples in config.rounds.drawn.items()}
    write_atomically(path, Notes(search=_digest(config.rounds.search), points=points).model_dump_json(indent=1))


def _path(out: Path, name: str) -> Path:
    return sweep_directory(out, name=name) / DRAWN_NAME


def _digest(search: Search) -> str:
    return hashlib.sha256(json.dumps(search.model_dump(mode="json", exclude={"samples"}), sort_keys=True).encode()).hexdigest()
