"""Text cells of a row: what is there, and what is empty."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.labels import empty

Cells = Mapping[str, Any]
"""Column → cell of a row."""


def text_of(item: Cells, name: str, place: str) -> str:
    """Return a column of a row. Raises DataError unless it is a text that is not empty."""
    if empty(item[name]):
        raise DataError(f"{place}: column {name!r} is an empty cell, expected a text")
    if not isinstance(item[name], str):
        raise DataError(f"{place}: column {name!r} is {item[name]!r}, expected a text")
    return item[name]


def texts_of(item: Cells, names: Sequence[str], place: str) -> dict[str, str]:
    """Return the text columns of a row, of which some may be empty or missing, but not all. Raises DataError."""
    if all(empty(item.get(name)) for name in names):
        return {name: text_of({name: item.get(name)}, name, place) for name in names}
    return {name: "" if empty(item.get(name)) else text_of(item, name, place) for name in names}


def counted_empty(items: Iterable[Cells], names: Sequence[str]) -> tuple[str, ...]:
    """Return a note on each of the columns that is empty in some rows."""
    counts: Counter[str] = Counter()
    rows = 0
    for item in items:
        rows += 1
        counts.update(name for name in names if empty(item.get(name)))
    return tuple(f"column {name!r} is empty in {count} of {rows} rows (task.optional says that it may be)" for name, count in counts.items())


def answers_of(value: Any, place: str, name: str) -> tuple[str, ...]:
    """Return the accepted answers in a cell, which holds one text or a list of them. Raises DataError for any that is empty."""
    answers = tuple(value) if isinstance(value, list) else (value,)
    if not answers or not all(isinstance(answer, str) and answer.strip() for answer in answers):
        given = "an empty cell" if value is None or value == "" else repr(value)
        raise DataError(f"{place}: column {name!r} is {given}, expected a text or a list of texts, none of them empty")
    return answers


def list_of(value: Any, *, delimiter: str) -> list[Any] | None:
    """Return the list in a cell: a list, JSON's spelling of one, or a text with a delimiter between its parts; None for what is none of these."""
    if isinstance(value, list | tuple):
        return list(value)
    if not isinstance(value, str):
        return None
    if value.lstrip().startswith("["):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list):
            return found
    return [part.strip() for part in value.split(delimiter) if part.strip()]


def with_nested(item: Any, columns: Sequence[str]) -> Any:
    """Return a row with the columns `a.b` that are named: the field b of the object in column a. Other rows stay as they are."""
    nested = [name for name in columns if "." in name and isinstance(item, dict) and name not in item]
    found: dict[str, Any] = {}
    for name in nested:
        value = item
        for part in name.split("."):
            value = value[part] if isinstance(value, Mapping) and part in value else _MISSING
        if value is not _MISSING:
            found[name] = value
    return {**item, **found} if found else item


_MISSING = object()
