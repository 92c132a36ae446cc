"""Standard errors, degrees of freedom and t-intervals of means and of their differences.

    Var(x̄_i − x̄_j) = seed part of i + seed part of j + Var over rows of the difference − seed × row, which both parts contain

Seeds are independent and never paired; rows are shared, so that the row part is that of the paired difference. The sum has a floor (`row_floor`): where all
rows are right in every run, or two contenders answer alike, nothing varies over the rows at hand, and over others something would. Degrees of freedom are
Satterthwaite's (Biometrics Bulletin 2, 1946): of a sum of mean squares, each with its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from loretta_core.report.inference.components import Array, Components


@dataclass(frozen=True)
class Interval:
    """An estimate with its uncertainty."""

    value: float
    standard_error: float
    degrees_of_freedom: float
    low: float
    high: float


def mean_interval(components: Components, index: int, *, level: float = 0.95) -> Interval:
    """Return the interval of a contender's expected score over seeds and rows. With one seed it covers the rows alone."""
    weight_K = np.zeros(len(components))
    weight_K[index] = 1.0
    return _interval(components, weight_K, level=level)


def difference_interval(components: Components, first: int, second: int, *, level: float = 0.95) -> Interval:
    """Return the interval of the difference of two contenders, this pair alone (`max_t.py` has those that hold for all pairs together)."""
    weight_K = np.zeros(len(components))
    weight_K[first], weight_K[second] = 1.0, -1.0
    return _interval(components, weight_K, level=level)


def variance_of(weight_PK: Array, *, seed_part: Array, row_covariance_KK: Array, shared_part_K: Array, seeds_K: Array, rows: int) -> tuple[Array, Array]:
    """Return variance and degrees of freedom of linear combinations of means, each (P,) or (draws, P).

    The variance is at least either part of it: subtracting what both contain may overshoot. And it is at least `row_floor` for each mean.

    Args:
        weight_PK: P combinations.
        seed_part: (K,) or (draws, K).
    """
    square_PK = weight_PK**2
    from_seeds = seed_part @ square_PK.T
    from_rows_P = np.einsum("pk,kl,pl->p", weight_PK, row_covariance_KK, weight_PK)
    shared_P = square_PK @ shared_part_K
    least_P = np.maximum(from_rows_P, row_floor(rows) * square_PK.sum(axis=1))
    variance = np.maximum(from_seeds + from_rows_P - shared_P, np.maximum(from_seeds, least_P))
    freedom_K = np.maximum(seeds_K - 1, 1)
    spread = (seed_part**2 / freedom_K) @ (square_PK**2).T
    spread = spread + from_rows_P**2 / (rows - 1) + (square_PK**2) @ (shared_part_K**2 / (freedom_K * (rows - 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(spread > 0, variance**2 / spread, float(rows - 1))
    return variance, np.clip(freedom, 1.0, rows - 1)


def row_floor(rows: int) -> float:
    """Return the variance of a mean over rows that are all right, by Agresti and Coull (The American Statistician 52, 1998): as if two more were right and two
    wrong. A score whose rows vary has more."""
    share = (rows + 2) / (rows + 4)
    return share * (1 - share) / (rows + 4)


def floor_root(components: Components) -> Array:
    """Return A: with noise A z beside that of seeds and rows, no combination of means varies less than `row_floor`, as in `variance_of`; 0 where none does."""
    seeds = np.diag(np.maximum(components.seed_part - components.shared_part, 0.0))
    values, vectors = np.linalg.eigh(components.row_covariance_KK + seeds)
    return vectors * np.sqrt(np.maximum(row_floor(components.rows) - values, 0.0))


def variances(components: Components, weight_PK: Array) -> tuple[Array, Array]:
    """Return variance and degrees of freedom of P combinations of the means."""
    return variance_of(
        weight_PK,
        seed_part=components.seed_part,
        row_covariance_KK=components.row_covariance_KK,
        shared_part_K=components.shared_part,
        seeds_K=components.seeds_K.astype(float),
        rows=components.rows,
    )


def _interval(components: Components, weight_K: Array, *, level: float) -> Interval:
    variance, freedom = variances(components, weight_K[None])
    error, value = float(np.sqrt(variance[0])), float(weight_K @ components.mean_K)
    half = float(stats.t.ppf((1 + level) / 2, freedom[0])) * error
    return Interval(value, error, float(freedom[0]), value - half, value + half)
