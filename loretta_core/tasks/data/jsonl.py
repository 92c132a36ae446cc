"""Loads the task `jsonl` from the user's files, with columns, template, verbalizer or answer and metric from the TOML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loretta_core.config.task import Jsonl
from loretta_core.tasks.data.drawn_splits import drawn_splits, named_sources
from loretta_core.tasks.data.reading.cells import Cells, answers_of, counted_empty, texts_of
from loretta_core.tasks.data.reading.disk_list import Mapped, kept
from loretta_core.tasks.data.reading.files import Form, Record
from loretta_core.tasks.data.reading.labels import LabelNames, labels_of, number_of
from loretta_core.tasks.data.reading.sources import read_source
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.scored_by import scorer_of
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
    sources = named_sources(task)
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
    drawn, held = drawn_splits(rows, task)
    return drawn, labels.names if labels else (), (*notes, *held)


def _cells(items: Sequence[Placed], task: Jsonl) -> Sequence[tuple[str, Any]]:
    return Mapped(lambda placed: (placed[0], placed[1][task.label]), items)


def _row(item: Cells, *, task: Jsonl, labels: LabelNames | None, scorer: Scorer, place: str) -> Row:
    text = texts_of(item, task.text, place)
    prompt = {"prompt": fill(task.template or "", text)} if task.objective == "causal" else text
    if task.answer is not None:
        answers = answers_of(item[task.answer], place, task.answer)
        for answer in answers:
            check_stops(answer, task.stop, place)
            scorer.check_answer(answer, place)
        if not task.text:  # then the answer is the text by which rows are told apart
            prompt["text"] = answers[0]
        return Row(prompt, 0, answers=answers, place=place)
    if labels is None:
        return Row(prompt, number_of(item[task.label], place), place=place)
    candidates = tuple(task.verbalizer or ()) if task.objective == "causal" else ()
    return Row(prompt, labels.index(item[task.label], place), candidates=candidates, place=place)
