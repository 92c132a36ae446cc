"""Loads the task `multi_label` from the user's files: each row has any number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loretta_core.config.task import MultiLabel
from loretta_core.errors import DataError
from loretta_core.tasks.data.drawn_splits import drawn_splits, named_sources
from loretta_core.tasks.data.reading.cells import Cells, counted_empty, list_of, texts_of
from loretta_core.tasks.data.reading.files import Form
from loretta_core.tasks.data.reading.labels import LabelNames, canonical, empty, labels_of, shortened
from loretta_core.tasks.data.reading.sources import read_source
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.scored_by import scorer_of


def load_multi_label(task: MultiLabel) -> tuple[dict[str, Sequence[Row]], tuple[str, ...], tuple[str, ...]]:
    """Return the rows of the splits, the label names, and notes for the record. Raises DataError that names the file and row."""
    form = Form(task.encoding, task.separator, task.quoting)
    columns = [task.label] if isinstance(task.label, str) else task.label
    needed = [*(name for name in task.text if name not in task.optional), *columns]
    found = {split: read_source(source, columns=needed, form=form) for split, source in named_sources(task).items()}
    given = {split: [_labels(item, task, place) for place, item in one.rows] for split, one in found.items()}
    names = _names(task, [(place, label) for (place, _), labels in zip(found["train"].rows, given["train"], strict=True) for label in labels])
    scorer_of(task, names.names)  # refuses what cannot be scored
    rows = {
        split: [_row(item, task, labels, names=names, place=place) for (place, item), labels in zip(one.rows, given[split], strict=True)]
        for split, one in found.items()
    }
    drawn, held = drawn_splits(rows, task)
    everything = [item for one in found.values() for _, item in one.rows]
    empties = counted_empty(everything, [name for name in task.text if name not in task.optional])
    return drawn, names.names, (*dict.fromkeys(note for one in found.values() for note in one.notes), *names.notes, *empties, *held)


def _labels(item: Cells, task: MultiLabel, place: str) -> list[Any]:
    """Return the labels of a row as they are spelt."""
    if isinstance(task.label, tuple):
        return [name for name in task.label if _is_set(item[name], name, place)]
    cell = item[task.label]
    if cell is None:
        return []
    labels = [cell] if isinstance(cell, int | float) else list_of(cell, delimiter=task.delimiter)
    if labels is None or any(empty(label) or isinstance(label, list | dict) for label in labels):
        raise DataError(f"{place}: column {task.label!r} is {shortened(cell)}, expected a list of labels, or a text with {task.delimiter!r} between them")
    return labels


def _is_set(cell: Any, name: str, place: str) -> bool:
    found = {"true": 1, "false": 0}.get(str(cell).strip().casefold(), None if empty(cell) else canonical(cell, place))
    if found not in (0, 1):
        raise DataError(f"{place}: column {name!r} is {shortened(cell)}, expected 0 or 1")
    return bool(found)


def _names(task: MultiLabel, labels: Sequence[tuple[str, Any]]) -> LabelNames:
    if isinstance(task.label, tuple):
        return LabelNames(task.label, {canonical(name, "task.label"): index for index, name in enumerate(task.label)})
    if not labels and task.labels is None:
        raise DataError(f"no training row has a label in the column {task.label!r}; set task.label to the column of the labels")
    return labels_of(labels, names=task.labels, column=task.label)


def _row(item: Cells, task: MultiLabel, labels: Sequence[Any], *, names: LabelNames, place: str) -> Row:
    right = {names.index(label, place) for label in labels}
    return Row(texts_of(item, task.text, place), 0, labels=tuple(int(index in right) for index in range(len(names.names))), place=place)
