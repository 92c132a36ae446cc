"""A classification task from JSON-lines files of your own."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from loretta_core.config.task import Jsonl
from loretta_core.errors import DataError
from loretta_core.tasks.rows import Row


def load_jsonl(task: Jsonl) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """Rows of the splits and the label names. `test` is absent when the task names no test file.

    Raises DataError that names the file and line: missing file, bad JSON, missing column, empty text, unknown label, empty split.
    """
    files = {"train": task.train, "validation": task.validation} | ({"test": task.test} if task.test else {})
    raw = {split: list(_read(Path(path), [*task.text, task.label])) for split, path in files.items()}
    names = tuple(task.labels) if task.labels else _names_of(raw["train"], task)
    limits = {"train": task.train_rows, "validation": task.validation_rows, "test": task.test_rows}
    return {
        split: _draw(
            [_row(item, task=task, names=names, place=f"{files[split]}:{number}") for number, item in items], limits[split], task.data_seed, files[split]
        )
        for split, items in raw.items()
    }, names


def _read(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file (paths are relative to the directory the sweep is started in)")
    empty = True
    with path.open(encoding="utf-8") as lines:
        for number, line in _decoded(lines, path):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}:{number}: not JSON: {error}") from None
            missing = [name for name in columns if name not in item] if isinstance(item, dict) else list(columns)
            if missing:
                have = ", ".join(item) if isinstance(item, dict) else type(item).__name__
                raise DataError(f"{path}:{number}: no column {missing[0]!r}; columns there: {have}. Set task.text and task.label to the names in the file")
            empty = False
            yield number, item
    if empty:
        raise DataError(f"{path}: the split is empty; expected one JSON object a line")


def _decoded(lines: Any, path: Path) -> Iterator[tuple[int, str]]:
    try:
        yield from enumerate(lines, start=1)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start} of a block); convert the file") from None


def _names_of(items: Sequence[tuple[int, dict[str, Any]]], task: Jsonl) -> tuple[str, ...]:
    """Label names when the config gives none: the integers 0 … C-1."""
    values = {item[task.label] for _, item in items if type(item[task.label]) is int}
    strangers = [item[task.label] for _, item in items if type(item[task.label]) is not int]
    if strangers:
        raise DataError(f'{task.train}: label {strangers[0]!r} is not an integer; give the names in their order, e.g. task.labels = ["negative", "positive"]')
    if values != set(range(len(values))) or len(values) < 2:
        raise DataError(f"{task.train}: labels {sorted(values)[:10]}, expected the integers 0, 1, … without a gap, at least two")
    return tuple(str(value) for value in sorted(values))


def _row(item: dict[str, Any], *, task: Jsonl, names: tuple[str, ...], place: str) -> Row:
    for name in task.text:
        if not isinstance(item[name], str) or not item[name].strip():
            raise DataError(f"{place}: column {name!r} is {item[name]!r}, expected a text that is not empty")
    value = item[task.label]
    if isinstance(value, str) and value in names:
        value = names.index(value)
    if type(value) is not int or not 0 <= value < len(names):
        raise DataError(f"{place}: label {item[task.label]!r}, expected one of {', '.join(names)}")
    return Row({name: item[name] for name in task.text}, value)


def _draw(rows: list[Row], limit: int | None, seed: int, path: str) -> list[Row]:
    if limit is None or limit == len(rows):
        return rows
    if limit > len(rows):
        raise DataError(f"{path}: {len(rows)} rows, and {limit} are asked for; lower the row count in [task] or leave it out to use all")
    return random.Random(seed).sample(rows, limit)
