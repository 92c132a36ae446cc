"""Metrics of sets of labels, as scikit-learn has them for indicator vectors: a row is 0 or 1 for each of C labels.

Micro, macro and weighted F1 are functions of the right, predicted and true rows of each label, summed over rows. A label that is neither predicted nor true
anywhere has an F1 of 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def set_match(prediction: Sequence[int], reference: Sequence[int]) -> float:
    """Return 1 if all labels of a row are right and none is missing."""
    return float(tuple(prediction) == tuple(reference))


def counts_of_row(prediction: Sequence[int], reference: Sequence[int]) -> np.ndarray:
    """Return right, predicted and true of each label, int64, 3·C."""
    guessed_C, true_C = np.asarray(prediction), np.asarray(reference)
    return np.concatenate([guessed_C & true_C, guessed_C, true_C])


def micro_f1(counts: np.ndarray) -> float:
    """Return the F1 over all labels together, from counts of `counts_of_row` that are summed over rows."""
    right, guessed, true = counts.reshape(3, -1).sum(axis=1)
    return float(2 * right / (guessed + true)) if guessed + true else 0.0


def macro_f1(counts: np.ndarray) -> float:
    """Return the mean of the labels' F1."""
    return float(_f1(counts).mean())


def weighted_f1(counts: np.ndarray) -> float:
    """Return the mean of the labels' F1, weighted by their rows."""
    true_C = counts.reshape(3, -1)[2]
    return float(_f1(counts) @ true_C / true_C.sum()) if true_C.any() else 0.0


def _f1(counts: np.ndarray) -> np.ndarray:
    right_C, guessed_C, true_C = counts.reshape(3, -1)
    return 2 * right_C / np.maximum(guessed_C + true_C, 1)
