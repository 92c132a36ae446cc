"""Rows of JSON: one object a line, or one array of objects on one or many lines.

An object that holds one list of objects, `{"version": …, "data": [{…}, …]}`, stands for that list, and one whose values are all objects for
these. A place is a line number in JSON lines, a row number elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.disk_list import kept
from loretta_core.tasks.data.reading.encodings import lines_of

JSON = (".jsonl", ".json", ".ndjson", ".jsonlines")


def json_rows(text: str, place: str, *, columns: Sequence[str], lists: bool = False) -> Sequence[tuple[int, Any]]:
    """Return (line or row number, value) of each row; `columns` are those of a row. Raises DataError with the line of what is not JSON.

    `lists`: the cells of the columns are lists, so that an object with such columns is a row, and no table.
    """
    if text.lstrip()[:1] == "[":
        return _of_document(_document(text, place), place)
    try:
        rows = kept(_of_lines(text, place))
    except DataError:
        if re.match(r"\s*\{\s*\n(?!\s*\{)", text):  # one object on many lines
            value = _document(text, place)
            if lists and {*columns} <= value.keys():
                return [(1, value)]
            return _of_columns(value, columns) or _of_document(value, place)
        raise
    only = rows[0][1] if len(rows) == 1 else None
    if not isinstance(only, dict) or (lists and {*columns} <= only.keys()):
        return rows
    return _of_columns(only, columns) or (_of_document(only, place) if not only.keys() & {*columns} and _inner(only) else rows)


def _of_lines(text: str, place: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines_of(text), start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{place}:{number}: not JSON: {error}") from None
            except (ValueError, RecursionError) as error:
                raise DataError(f"{place}:{number}: {_beyond(error)}") from None
            yield number, value


def _document(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}:{error.lineno}: not JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: {_beyond(error)}") from None


def _beyond(error: Exception) -> str:
    """Return in words what Python's parser refuses although it is JSON."""
    found = "lists or objects nested too deeply" if isinstance(error, RecursionError) else "a number of thousands of digits"
    return f"{found}, which Python does not read; expected rows of texts and labels"


def _of_document(value: Any, place: str) -> list[tuple[int, Any]]:
    rows = _inner(value) if isinstance(value, dict) else value
    if rows is None:
        raise DataError(f"{place}: one JSON object with {', '.join(map(str, value))[:200]}; expected a list of rows, or one object a line")
    return list(enumerate(rows, start=1))


def _of_columns(value: dict[str, Any], columns: Sequence[str]) -> list[tuple[int, Any]] | None:
    """Return the rows of an object that holds a list or a table by row for each column, as pandas writes it; None if it is a row itself."""
    held = [value.get(name) for name in columns]
    if not held or not all(isinstance(one, list | dict) for one in held) or len({len(one) for one in held if one is not None}) != 1:
        return None
    lists = {name: list(one.values()) if isinstance(one, dict) else one for name, one in value.items() if isinstance(one, list | dict)}
    rows = len(lists[columns[0]])
    return [(row + 1, {name: cells[row] for name, cells in lists.items() if len(cells) == rows}) for row in range(rows)]


def _inner(value: dict[str, Any]) -> list[Any] | None:
    """Return the rows of an object that holds one list of them, or that is a table of rows by their names; None if it is neither."""
    lists = [one for one in value.values() if isinstance(one, list) and one and all(isinstance(item, dict) for item in one)]
    if len(lists) == 1:
        return lists[0]
    return list(value.values()) if value and all(isinstance(item, dict) for item in value.values()) else None
