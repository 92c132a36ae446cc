"""`--rerun`: which finished cells are meant, and how they are made unfinished without losing anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from loretta_core.config import CellConfig
from loretta_core.errors import ConfigError
from loretta_core.store.layout import cell_directory


def resolve_cell_ids(cells: Sequence[CellConfig], ids: Iterable[str]) -> list[CellConfig]:
    """Return the cells with these ids, or with ids that begin so. Raises ConfigError for what names no cell, or several."""
    return [_resolve(cells, text) for text in ids]


def archive_cells(out: Path, cells: Iterable[CellConfig]) -> None:
    """Make cells unfinished: move their directories to OUT/replaced, where no records are read from and nothing is lost."""
    for cell in cells:
        directory = cell_directory(out, cell.cell_id)
        if directory.is_dir():
            target = out / "replaced" / f"{cell.cell_id}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
            target.parent.mkdir(exist_ok=True)
            directory.rename(target)


def _resolve(cells: Sequence[CellConfig], text: str) -> CellConfig:
    found = [cell for cell in cells if text and cell.cell_id.startswith(text)]
    if len(found) != 1:
        count = f"{len(found)} cells" if found else "no cell"
        raise ConfigError(f"--rerun {text}: {count} of this sweep; give an id that `loretta sweep FILE --dry-run --json` shows, or enough of its first digits")
    return found[0]
