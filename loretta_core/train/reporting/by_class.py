"""Precision, recall and F1 of every class: a score over all rows hides a class that is never predicted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from loretta_core.store.records import ClassScore
from loretta_core.tasks.scoring.metrics import Prediction, Reference


def class_scores(predictions: Sequence[Prediction], references: Sequence[Reference], *, names: Sequence[str]) -> dict[str, ClassScore] | None:
    """Return name → scores of each label; None where there are none."""
    if not names:
        return None
    guessed, true = Counter(predictions), Counter(references)
    hits = Counter(reference for prediction, reference in zip(predictions, references, strict=True) if prediction == reference)
    return {name: _score(hits[label], guessed=guessed[label], true=true[label]) for label, name in enumerate(names)}


def _score(hits: int, *, guessed: int, true: int) -> ClassScore:
    return ClassScore(
        precision=hits / guessed if guessed else 0.0,
        recall=hits / true if true else 0.0,
        f1=2 * hits / (guessed + true) if guessed + true else 0.0,
        rows=true,
    )
