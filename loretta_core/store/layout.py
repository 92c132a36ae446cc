"""Paths of the files of a cell in an output directory: OUT/cells/<cell_id>/."""

from pathlib import Path

from loretta_core.errors import OutputError

ARRIVED_NAME = "sent.json"
"""Written beside a cell's record: which stores have all of it (`sent.py`)."""


def cell_directory(out: Path, cell_id: str) -> Path:
    """Return the directory that keeps everything of a cell."""
    return out / "cells" / cell_id


def find_cell(out: Path, text: str) -> Path:
    """Return the directory of the cell with this id, or these first digits of one. Raises OutputError when it names no cell or several."""
    exact = out / "cells" / text
    if text.isalnum() and exact.is_dir():
        return exact  # without looking at the names of ten thousand others
    found = sorted(path for path in (out / "cells").glob(f"{text}*") if path.is_dir()) if text.isalnum() else []
    if len(found) == 1:
        return found[0]
    raise OutputError(f"{text!r} names {len(found) or 'no'} cells in {out / 'cells'}; give the id that the report shows, or enough of its first digits")
