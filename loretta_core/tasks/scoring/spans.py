"""Tags of words: entities by seqeval (CoNLL's rules), and the share of right tags.

    B-PER I-PER O B-LOC   →   (PER, 0, 1), (LOC, 3, 3)

An entity is right if its type and both ends are. Counts are summed over rows, so that a resample of rows is a sum, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

OUTSIDE = "O"
"""Tag of a word that belongs to no entity."""

Entity = tuple[str, int, int]


def entities(tags: Sequence[str]) -> set[Entity]:
    """Return (type, first word, last word) of each entity."""
    from seqeval.metrics.sequence_labeling import get_entities  # an extra

    return set(get_entities(list(tags)))


def span_counts(prediction: Sequence[str], reference: Sequence[str]) -> tuple[int, int, int]:
    """Return the right, predicted and true entities of a row."""
    guessed, true = entities(prediction), entities(reference)
    return len(guessed & true), len(guessed), len(true)


def span_f1(counts: np.ndarray) -> float:
    """Return the F1 of counts that are summed over rows; 0 without an entity."""
    right, guessed, true = counts
    return float(2 * right / (guessed + true)) if guessed + true else 0.0


def tag_counts(prediction: Sequence[str], reference: Sequence[str]) -> tuple[int, int]:
    """Return the right words of a row, and all."""
    return sum(guessed == true for guessed, true in zip(prediction, reference, strict=True)), len(reference)


def tag_accuracy(counts: np.ndarray) -> float:
    """Return the share of right words of counts that are summed over rows."""
    right, words = counts
    return float(right / words)
