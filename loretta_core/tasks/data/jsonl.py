"""Loads the task `jsonl` from the user's files, with columns, template, verbalizer or answer and metric from the TOML."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from loretta_core.config.task import Jsonl
from loretta_core.errors import DataError
from loretta_core.tasks.data.files import read_rows
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.scored_rows import draw_test_rows, hold_out
from loretta_core.tasks.data.templates import fill


def load_jsonl(task: Jsonl) -> tuple[dict[str, list[Row]], tuple[str, ...], tuple[str, ...]]:
    """Return the rows of the splits, the label names, and notes on the splits for the record.

    Where the task names no test file, test rows are held out of the training file before any are drawn; `test` is absent when there are too few for that.

    Raises DataError that names the file and line: missing file, bad JSON, missing column, empty text, unknown label, an `id` twice, empty split.
    """
    files = {"train": task.train, "validation": task.validation} | ({"test": task.test} if task.test else {})
    target = task.answer or task.label
    raw = {split: read_rows(Path(path), columns=[*task.text, target], label=None if task.answer else target) for split, path in files.items()}
    for split, items in raw.items():
        check_ids(items, files[split])
    names = () if task.answer or task.regression else tuple(task.labels) if task.labels else _names_of(raw["train"], task)
    rows = {split: [_row(item, task=task, names=names, place=f"{files[split]}:{number}") for number, item in items] for split, items in raw.items()}
    limits = {"train": task.train_rows, "validation": task.validation_rows, "test": task.test_rows}
    for split, path in files.items():
        _check_limit(rows[split], limits[split], path)
    rows, notes = (rows, ()) if task.test else _with_test_rows(rows, task)
    draws: Mapping[str, Draw] = {split: draw_test_rows if split == "test" else random.Random(task.data_seed).sample for split in rows}
    return {split: _first(some, limits[split], draws[split]) for split, some in rows.items()}, names, notes


Draw = Callable[[list[Row], int], list[Row]]


def _with_test_rows(rows: dict[str, list[Row]], task: Jsonl) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """Add test rows that are held out of the training rows, with a note on how many; none where there are too few."""
    kept, held = hold_out(rows["train"], validation=rows["validation"], wanted=task.test_rows)
    if not held:
        return rows, ()
    trained = min(len(kept), task.train_rows or len(kept))
    note = f"task.test names no file: {len(held)} of the {len(rows['train'])} training rows were held out as test rows, {trained} train"
    return {**rows, "train": kept, "test": held}, (note,)


def check_ids(items: Sequence[tuple[int, Mapping[str, Any]]], path: str) -> None:
    """Raise DataError if a text or a number in a column `id` comes twice: a row would count twice."""
    seen: dict[str | int, int] = {}
    for number, item in items:
        value = item.get("id")
        if isinstance(value, str | int) and seen.setdefault(value, number) != number:
            raise DataError(f"{path}:{number}: id {value!r} is also the id of line {seen[value]}; remove one of the rows, or the column")


def text_of(item: Mapping[str, Any], name: str, place: str) -> str:
    """Return a column of a row. Raises DataError unless it is a text that is not empty."""
    if not isinstance(item[name], str) or not item[name].strip():
        raise DataError(f"{place}: column {name!r} is {item[name]!r}, expected a text that is not empty")
    return item[name]


def _names_of(items: Sequence[tuple[int, dict[str, Any]]], task: Jsonl) -> tuple[str, ...]:
    """Return the label names when the config gives none: the integers 0 … C-1."""
    values = {item[task.label] for _, item in items if type(item[task.label]) is int}
    strangers = [item[task.label] for _, item in items if type(item[task.label]) is not int]
    if strangers:
        raise DataError(f'{task.train}: label {strangers[0]!r} is not an integer; give the names in their order, e.g. task.labels = ["negative", "positive"]')
    if values != set(range(len(values))) or len(values) < 2:
        raise DataError(f"{task.train}: labels {sorted(values)[:10]}, expected the integers 0, 1, … without a gap, at least two")
    return tuple(str(value) for value in sorted(values))


def _row(item: dict[str, Any], *, task: Jsonl, names: tuple[str, ...], place: str) -> Row:
    text = {name: text_of(item, name, place) for name in task.text}
    prompt = {"prompt": fill(task.template, text)} if task.objective == "causal" and task.template is not None else text
    if task.answer is not None:
        return Row(prompt, 0, answers=_answers(item[task.answer], place, task.answer))
    value = item[task.label]
    if task.regression:
        if type(value) not in (int, float):
            raise DataError(f"{place}: label {value!r}, expected a number")
        return Row(prompt, float(value))
    if isinstance(value, str) and value in names:
        value = names.index(value)
    if type(value) is not int or not 0 <= value < len(names):
        raise DataError(f"{place}: label {item[task.label]!r}, expected one of {', '.join(names)}")
    return Row(prompt, value, candidates=tuple(task.verbalizer or ()) if task.objective == "causal" else ())


def _answers(value: Any, place: str, name: str) -> tuple[str, ...]:
    answers = tuple(value) if isinstance(value, list) else (value,)
    if not answers or not all(isinstance(answer, str) and answer.strip() for answer in answers):
        raise DataError(f"{place}: column {name!r} is {value!r}, expected a text or a list of texts, none of them empty")
    return answers


def _check_limit(rows: Sequence[Row], limit: int | None, path: str) -> None:
    if limit is not None and limit > len(rows):
        raise DataError(f"{path}: {len(rows)} rows, and {limit} are asked for; lower the row count in [task] or leave it out to use all")


def _first(rows: list[Row], limit: int | None, draw: Draw) -> list[Row]:
    """Draw `limit` rows; all in their order where there are no more."""
    return rows if limit is None or limit >= len(rows) else draw(rows, limit)
