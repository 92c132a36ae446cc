"""The Wilson interval of a score that is a share of rows."""

from __future__ import annotations

import math

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
