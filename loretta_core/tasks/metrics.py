"""Predictions → score."""

from __future__ import annotations

from collections.abc import Sequence


def accuracy(predictions: Sequence[int], references: Sequence[int]) -> float:
    """Share of equal entries, in [0, 1]. Raises ValueError on different lengths or nothing to score."""
    if len(predictions) != len(references) or not references:
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references")
    return sum(p == r for p, r in zip(predictions, references, strict=True)) / len(references)
