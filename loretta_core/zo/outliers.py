"""Outlier clipping of loss differences, and their signal-to-noise ratio.

    limit = clip · 1.4826 · median |d − median d|     over the last WINDOW applied differences (1.4826: the MAD of a normal variable is σ / 1.4826)
    d     ← median d ± limit                          if it lies farther out

The decision is a pure function of differences that were applied before: every replica takes the same one, a resumed run goes on with it, and since the log
holds what was applied, replay clips nothing. Clipped values enter the window as clipped, so that the limit still follows a scale that has really grown.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

WINDOW = 64
"""Number of past differences that the limit is computed from."""
MIN_DIFFERENCES = 16
"""Number of past differences below which nothing is clipped: they say too little about the scale."""


def clip_outliers(differences: Sequence[float], *, past: Sequence[float], clip: float) -> tuple[float, ...]:
    """Clip differences to `clip` robust standard deviations from the past ones' median; unchanged while there are too few, or no scale."""
    if len(past) < MIN_DIFFERENCES:
        return tuple(differences)
    centre = statistics.median(past)
    limit = clip * 1.4826 * statistics.median(abs(value - centre) for value in past)
    if limit == 0.0:
        return tuple(differences)
    return tuple(min(max(value, centre - limit), centre + limit) for value in differences)


def update_window(past: Sequence[float], differences: Sequence[float]) -> list[float]:
    """Return the window of past differences after a step."""
    return [*past, *differences][-WINDOW:]


def signal_to_noise(past: Sequence[float], *, loss: float) -> float:
    """Return the median |d| in units of the spacing of fp32 numbers at the loss, the least error a difference can have.

    Below about 10 the projected gradient is mostly rounding: raise zo_eps. It does not see the noise of the batch, which no two evaluations can tell.
    """
    if not past or not math.isfinite(loss) or loss == 0.0:
        return math.nan
    return statistics.median(map(abs, past)) / 2.0 ** (math.frexp(loss)[1] - 24)
