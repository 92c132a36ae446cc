"""State of a search: the samples that results suggested, in OUT/sweeps/<name>/search.json.

Written before the first cell of a round begins. Samples are never replaced: a sweep that was killed goes on with the same cells, whatever became of a cell that
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
from loretta_core.errors import OutputError
from loretta_core.store.manifest import sweep_directory
from loretta_core.store.output_dir import OUTPUT_FORMAT, write_atomically

SEARCH_STATE_NAME = "search.json"


class SearchState(BaseModel):
    """The samples of one [search] so far."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: int = OUTPUT_FORMAT
    search: str
    """Digest of the settings that decide which samples are suggested; `samples` is not one of them, so that a search can go on."""
    points: dict[str, list[dict[str, Any]]]
    """Point of the grid → its samples, in the order of the rounds."""


def restore_search(config: SweepConfig, out: Path) -> SweepConfig:
    """Return the sweep with the samples of its earlier rounds; itself, where all cells are known beforehand."""
    if config.rounds is None:
        return config
    try:
        state = SearchState.model_validate_json(_path(out, config.name).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return config  # a damaged file costs nothing: the same results suggest the same samples, and it is written anew. `loretta doctor` names it
    return config.grown(state.points) if state.search == _digest(config.rounds.search) and state.format == OUTPUT_FORMAT else config


def check_search_state(out: Path, *, name: str) -> None:
    """Check that the state of a sweep's search, where there is one, can be read. Raises OutputError that names the file."""
    path = _path(out, name)
    try:
        SearchState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path}: damaged (cannot be read: {error.strerror})") from None
    except ValidationError as error:
        raise OutputError(f"{path}: damaged (not the state of a search: {error.errors()[0]['msg']})") from None


def write_search_state(config: SweepConfig, out: Path) -> None:
    """Write the samples of the sweep so far, atomically."""
    assert config.rounds is not None
    path = _path(out, config.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    points = {point: list(samples) for point, samples in config.rounds.drawn.items()}
    write_atomically(path, SearchState(search=_digest(config.rounds.search), points=points).model_dump_json(indent=1))


def _path(out: Path, name: str) -> Path:
    return sweep_directory(out, name=name) / SEARCH_STATE_NAME


def _digest(search: Search) -> str:
    return hashlib.sha256(json.dumps(search.model_dump(mode="json", exclude={"samples"}), sort_keys=True).encode()).hexdigest()
