"""The power of a comparison: what the seeds and rows at hand could have shown, and how many more would separate two contenders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from loretta_core.report.inference.components import Components
from loretta_core.report.inference.intervals import row_floor
from loretta_core.report.inference.max_t import AllPairs

POWER = 0.8
MOST_SEEDS = 1000
MOST_ROWS = 10_000_000


@dataclass(frozen=True)
class Separation:
    """The amount of data that would separate two contenders if they differ by what was seen; None where no amount does."""

    seeds: int | None
    """Seeds of each, with the rows at hand."""
    rows: int | None
    """Rows, with the seeds at hand."""


def smallest_difference(pairs: AllPairs, *, level: float = 0.95, power: float = POWER) -> float:
    """Return the smallest true difference that the best measured pair would have shown with probability `power`, under the adjustment for all pairs."""
    half_P = pairs.half_width(level=level)
    return float((half_P + stats.t.ppf(power, pairs.freedom_P) * pairs.error_P).min())


def needed_to_separate(components: Components, pairs: AllPairs, *, first: int, second: int, level: float = 0.95) -> Separation:
    """Return how many seeds or rows would make the interval of the difference leave zero out, if difference and components stay as estimated."""
    index, _ = pairs.index_of(first, second)
    difference = abs(float(pairs.difference_P[index]))
    if difference == 0.0:
        return Separation(None, None)
    critical = float(pairs.half_width(level=level)[index] / pairs.error_P[index]) if pairs.error_P[index] > 0 else 0.0
    allowed = (difference / critical) ** 2 if critical else np.inf
    both = [first, second]
    seed_K, interaction_K, seeds_K = components.seed_variance_K, components.interaction_K, components.seeds_K
    of_seeds = float(np.maximum(seed_K[both] - interaction_K[both], 0.0).sum())  # σ²_a of both
    crossed = float(interaction_K[both].sum())  # σ²_e / R of both
    covariance = components.row_covariance_KK[np.ix_(both, both)]
    of_rows = max(0.0, float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1] - (interaction_K / seeds_K)[both].sum()))  # σ²_b / R of the difference
    now = int(seeds_K[both].min())
    of_rows = max(of_rows, 2 * row_floor(components.rows) - (of_seeds + crossed) / now)  # rows that do not vary would not make the others needless
    seeds = _ceil((of_seeds + crossed) / (allowed - of_rows)) if allowed > of_rows else None
    at_fixed_seeds = of_seeds / now
    rows = _ceil(components.rows * (of_rows + crossed / now) / (allowed - at_fixed_seeds)) if allowed > at_fixed_seeds else None
    return Separation(
        None if seeds is None or seeds > MOST_SEEDS else max(seeds, now),
        None if rows is None or rows > MOST_ROWS else max(rows, components.rows),
    )


def _ceil(value: float) -> int:
    return int(np.ceil(value)) if np.isfinite(value) else MOST_ROWS + 1
