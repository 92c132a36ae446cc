"""Intervals for scores, and paired tests between two cells that were scored on the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z_95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""


def wilson_interval(correct: int, rows: int, *, z: float = Z_95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (Wilson 1927); unlike p ± z·se it stays inside [0, 1] and holds for few rows and extreme scores.

    Raises ValueError unless 0 ≤ correct ≤ rows and rows > 0.
    """
    if rows <= 0 or not 0 <= correct <= rows:
        raise ValueError(f"expected 0 ≤ correct ≤ rows and rows > 0, got correct = {correct}, rows = {rows}")
    share = correct / rows
    spread = 1 + z**2 / rows
    centre = (share + z**2 / (2 * rows)) / spread
    half = z * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)) / spread
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))  # rounding would leave 0 and 1 outside


def mcnemar(first: str, second: str) -> float:
    """Return the two-sided p-value of McNemar's exact test (1947): do the rows that only one of two cells gets right split evenly?

    `first` and `second` have one character a row, "1" for right. Raises ValueError on different lengths.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} rows against {len(second)}; the test needs the same rows")
    only_first = sum(a > b for a, b in zip(first, second, strict=True))
    only_second = sum(a < b for a, b in zip(first, second, strict=True))
    fewer, rows = min(only_first, only_second), only_first + only_second
    tail = sum(math.comb(rows, count) for count in range(fewer + 1))
    return min(1.0, 2 * tail / 2**rows)


def paired_bootstrap(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value that two metrics are equal, from their values over the same bootstrap samples (Efron and Tibshirani 1993).

    Twice the share of samples in which the difference has the other sign; at least 2 / (samples + 1). Raises ValueError on different lengths or no samples.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} samples against {len(second)}; the test needs the same samples, at least one")
    not_above = sum(a <= b for a, b in zip(first, second, strict=True))
    not_below = sum(a >= b for a, b in zip(first, second, strict=True))
    return min(1.0, 2 * (min(not_above, not_below) + 1) / (len(first) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for being several (Holm 1979): the chance of any false alarm among them stays below the level one compares with."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, largest = [1.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected
