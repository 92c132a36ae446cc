"""Precision, recall and F1 of every class: a score over all rows hides a class that is never predicted. Of tags, the classes are the types of entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import chain
from typing import Any

from loretta_core.store.records import ClassScore
from loretta_core.tasks.data.rows import TaskData
from loretta_core.tasks.scoring.spans import entities

Item = tuple[int, Hashable, Hashable]
"""Row, class, and what tells it from others of its class in the row."""


def class_scores(data: TaskData, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, ClassScore] | None:
    """Return name → scores of each label, type of entity or tag; None where there are none."""
    if not data.label_names:
        return None
    if data.scorer.metric == "span_f1":
        guessed, true = (set(_spans(data, rows)) for rows in (predictions, references))
        names: dict[Hashable, str] = {kind: str(kind) for kind in sorted({str(kind) for _, kind, _ in guessed | true})}
    else:
        guessed, true = (set(_labels(rows, tags=bool(data.scorer.tags))) for rows in (predictions, references))
        names = dict(enumerate(data.label_names))
    hits, in_guess, in_truth = (Counter(kind for _, kind, _ in items) for items in (guessed & true, guessed, true))
    return {name: _score(hits[kind], guessed=in_guess[kind], true=in_truth[kind]) for kind, name in names.items()}


def _labels(rows: Sequence[Any], *, tags: bool) -> Iterable[Item]:
    """Yield the label of each row; the labels that are set, or the tag of each word, where a row has several."""
    for number, value in enumerate(rows):
        several = value if isinstance(value, tuple) else (value,)
        if tags or several is not value:
            yield from ((number, kind, place) for place, kind in enumerate(several))
        else:
            yield from ((number, label, None) for label, is_set in enumerate(several) if is_set)


def _spans(data: TaskData, rows: Sequence[Any]) -> Iterable[Item]:
    return chain.from_iterable(((number, kind, (first, last)) for kind, first, last in entities(data.scorer.tagged(tags))) for number, tags in enumerate(rows))


def _score(hits: int, *, guessed: int, true: int) -> ClassScore:
    return ClassScore(
        precision=hits / guessed if guessed else 0.0,
        recall=hits / true if true else 0.0,
        f1=2 * hits / (guessed + true) if guessed + true else 0.0,
        rows=true,
    )
