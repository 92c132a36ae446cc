"""Early stops: cells that a sweep ended early, in OUT/sweeps/<name>/stopped/<cell_id>.json.

A fact about the sweep, not about the cell: other cells of this sweep did better. The cell has no record, so that it counts as finished nowhere; another
sweep, or this one without `early_stopping`, goes on from its checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from loretta_core.store.manifest import sweep_directory
from loretta_core.store.output_dir import write_atomically


class EarlyStop(BaseModel):
    """One cell that a sweep ended early."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    cell_id: str
    reason: str
    points: tuple[tuple[float, float], ...] = ()
    """(share of its steps, validation score): what later cells are compared with."""
    stopped_at: str
    """ISO 8601, UTC."""


@dataclass(frozen=True)
class FoundStops:
    """The early stops of a sweep."""

    stops: dict[str, EarlyStop]
    """Cell id → its early stop."""
    damaged: dict[str, str]
    """Cell id → path of a file that cannot be used, what is wrong with it, and what to do."""


def write_early_stop(stop: EarlyStop, out: Path, *, name: str) -> None:
    """Write the early stop of a cell in the sweep `name`, atomically."""
    path = _directory(out, name) / f"{stop.cell_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, stop.model_dump_json(indent=1))


def read_early_stops(out: Path, *, name: str) -> dict[str, EarlyStop]:
    """Return the early stops of a sweep by cell id; a damaged file is left out, its cell runs again."""
    return find_early_stops(out, name=name).stops


def find_early_stops(out: Path, *, name: str) -> FoundStops:
    """Read the early stops of a sweep, and say which files are damaged."""
    found = FoundStops({}, {})
    for path in sorted(_directory(out, name).glob("*.json")):
        try:
            stop = EarlyStop.model_validate_json(path.read_bytes())
        except FileNotFoundError:  # cleared between listing and reading
            continue
        except (OSError, ValidationError) as error:
            what = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else "not a complete note of an early stop"
            found.damaged[path.stem] = f"{path}: damaged ({what}); delete it, or start the sweep again: the cell goes on"
        else:
            found.stops[stop.cell_id] = stop
    return found


def clear_early_stop(out: Path, *, name: str, cell_id: str) -> None:
    """Delete the early stop of a cell, which is then computed to its end."""
    (_directory(out, name) / f"{cell_id}.json").unlink(missing_ok=True)


def _directory(out: Path, name: str) -> Path:
    return sweep_directory(out, name=name) / "stopped"
