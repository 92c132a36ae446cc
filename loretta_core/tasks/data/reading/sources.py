"""Reads what a field such as `task.train` names: a file, a list of files, a pattern, or a data set on the hub with its split."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from loretta_core.config.task import Source
from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.cells import with_nested
from loretta_core.tasks.data.reading.disk_list import kept
from loretta_core.tasks.data.reading.files import Form, Found, check_columns, read_rows
from loretta_core.tasks.data.reading.hub import PREFIX, hub_rows, parse_address


def read_source(source: Source, *, columns: Sequence[str], form: Form) -> Found:
    """Return the rows of all files of a source, in its order. Raises DataError with the place of what cannot be read."""
    pieces = [_read(name, columns, form) for name in names_of(source)]
    rows = pieces[0].rows if len(pieces) == 1 else kept(row for piece in pieces for row in piece.rows)
    return Found(rows, tuple(dict.fromkeys(note for piece in pieces for note in piece.notes)))


def names_of(source: Source) -> list[str]:
    """Return the files and hub addresses of a source; a pattern stands for the files that match it, sorted. Raises DataError if none does."""
    given = [source] if isinstance(source, str) else list(source)
    return [name for one in given for name in _expanded(one)]


def caption(source: Source) -> str:
    """Return a source in a few words, for messages."""
    return source if isinstance(source, str) else ", ".join(source)


def _expanded(name: str) -> list[str]:
    path = Path(name).expanduser()
    if name.startswith(PREFIX) or not glob.has_magic(name) or path.is_file():
        return [name]
    try:
        found = sorted(str(one) for one in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if one.is_file())
    except ValueError as error:
        raise DataError(f"{name}: {error}; expected a file, or a pattern such as data/part-*.jsonl") from None
    if not found:
        raise DataError(f"{name}: no file matches this pattern (paths are relative to the directory the sweep is started in)")
    return found


def _read(name: str, columns: Sequence[str], form: Form) -> Found:
    if not name.startswith(PREFIX):
        return read_rows(Path(name).expanduser(), columns=columns, form=form)
    hub, part, split = parse_address(name)
    rows = kept((f"{name}:{number}", with_nested(item, columns)) for number, item in hub_rows(hub, part, split))
    for place, item in rows:
        check_columns(item, columns, place)
    return Found(rows)
