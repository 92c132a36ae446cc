"""Loads the task `jsonl` from the user's files, with columns, template, verbalizer or answer and metric from the TOML."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loretta_core.config.task import Jsonl
from loretta_core.errors import DataError
from loretta_core.tasks.data.disk_list import Mapped, chosen, kept
from loretta_core.tasks.data.reading.cells import Cells, counted_empty, texts_of
from loretta_core.tasks.data.reading.files import Form, Record
from loretta_core.tasks.data.reading.labels import LabelNames, labels_of, number_of
from loretta_core.tasks.data.reading.sources import caption, read_source
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.scored_by import scorer_of
from loretta_core.tasks.data.scored_rows import draw_test_rows, hold_out
from loretta_core.tasks.data.templates import fill
from loretta_core.tasks.scoring.scorer import Scorer
from loretta_core.tasks.scoring.stops import check_stops

Placed = tuple[str, Record]
"""A place, `file:line`, and what stands there."""


def load_jsonl(task: Jsonl) -> tuple[dict[str, Sequence[Row]], tuple[str, ...], tuple[str, ...]]:
    """Return the rows of the splits, the label names, and notes for the record: on the splits, and on everything that was found out about the files.

    Where the task names no test file, test rows are held out of the training file before any are drawn; `test` is absent when there are too few for that.

    Raises DataError that names the file and row: missing file, not of its format, missing column, empty cell, unknown label, empty split.
    """
    sources = {"train": task.train, "validation": task.validation} | ({"test": task.test} if task.test else {})
    form = Form(task.encoding, task.separator, task.quoting)
    needed = [*(name for name in task.text if name not in task.optional), task.answer or task.label]
    found = {split: read_source(source, columns=needed, form=form) for split, source in sources.items()}
    raw = {split: one.rows for split, one in found.items()}
    labels = None if task.answer or task.regression else labels_of(_cells(raw["train"], task), names=task.labels, column=task.label)
    scorer = scorer_of(task, labels.names if labels else ())
    rows = {split: kept(_row(item, task=task, labels=labels, scorer=scorer, place=place) for place, item in items) for split, items in raw.items()}
    notes = [
        *dict.fromkeys(note for one in found.values() for note in one.notes),
        *(labels.notes if labels else ()),
        *(labels.respelt(item[task.label] for items in raw.values() for _, item in items) if labels else ()),
        *counted_empty((item for items in raw.values() for _, item in items), [name for name in task.text if name not in task.optional]),
    ]
    limits = {"train": task.train_rows, "validation": task.validation_rows, "test": task.test_rows}
    for split, source in sources.items():
        _check_limit(rows[split], limits[split], caption(source))
    rows, held = (rows, ()) if task.test else _with_test_rows(rows, task)
    draws: Mapping[str, Draw] = {split: draw_test_rows if split == "test" else random.Random(task.data_seed).sample for split in rows}
    drawn = {split: _first(some, limits[split], draws[split]) for split, some in rows.items()}
    return drawn, labels.names if labels else (), (*notes, *held)


Draw = Callable[[range, int], list[int]]


def _cells(items: Sequence[Placed], task: Jsonl) -> Sequence[tuple[str, Any]]:
    return Mapped(lambda placed: (placed[0], placed[1][task.label]), items)


def _with_test_rows(rows: dict[str, Sequence[Row]], task: Jsonl) -> tuple[dict[str, Sequence[Row]], tuple[str, ...]]:
    """Add test rows that are held out of the training rows, with a note on how many; none where there are too few."""
    kept, held = hold_out(rows["train"], validation=rows["validation"], wanted=task.test_rows)
    if not held:
        return rows, ()
    trained = min(len(kept), task.train_rows or len(kept))
    note = f"task.test names no file: {len(held)} of the {len(rows['train'])} training rows were held out as test rows, {trained} train"
    return {**rows, "train": kept, "test": held}, (note,)


def _row(item: Cells, *, task: Jsonl, labels: LabelNames | None, scorer: Scorer, place: str) -> Row:
    text = texts_of(item, task.text, place)
    prompt = {"prompt": fill(task.template, text)} if task.objective == "causal" and task.template is not None else text
    if task.answer is not None:
        answers = _answers(item[task.answer], place, task.answer)
        for answer in answers:
            check_stops(answer, task.stop, place)
            scorer.check_answer(answer, place)
        return Row(prompt, 0, answers=answers, place=place)
    if labels is None:
        return Row(prompt, number_of(item[task.label], place), place=place)
    candidates = tuple(task.verbalizer or ()) if task.objective == "causal" else ()
    return Row(prompt, labels.index(item[task.label], place), candidates=candidates, place=place)


def _answers(value: Any, place: str, name: str) -> tuple[str, ...]:
    answers = tuple(value) if isinstance(value, list) else (value,)
    if not answers or not all(isinstance(answer, str) and answer.strip() for answer in answers):
        given = "an empty cell" if value is None or value == "" else repr(value)
        raise DataError(f"{place}: column {name!r} is {given}, expected a text or a list of texts, none of them empty")
    return answers


def _check_limit(rows: Sequence[Row], limit: int | None, source: str) -> None:
    if limit is not None and limit > len(rows):
        raise DataError(f"{source}: {len(rows)} rows, and {limit} are asked for; lower the row count in [task] or leave it out to use all")


def _first(rows: Sequence[Row], limit: int | None, draw: Draw) -> Sequence[Row]:
    """Draw `limit` rows; all in their order where there are no more."""
    return rows if limit is None or limit >= len(rows) else chosen(rows, draw(range(len(rows)), limit))
