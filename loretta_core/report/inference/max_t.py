"""Comparison of all pairs of contenders: intervals and p-values that hold for all pairs together.

    adjusted p of a pair = P( min over all pairs of p* ≤ p )        p* from draws in which all contenders are equal

The draws are a parametric bootstrap: means from the estimated seed and row parts (row parts correlated as they are, since rows are shared, and with the floor
of the intervals), estimated variances drawn anew from their χ² distributions, and t with Satterthwaite's degrees of freedom from these, as for the data. So a
test that is a little wrong for three seeds is wrong by the same in the draws, and the adjustment mends it (Westfall and Young 1993; Konietschke et al. 2015).
Unequal variances and unequal numbers of seeds are no special case.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from loretta_core.report.inference.components import Array, Components, matrix_root
from loretta_core.report.inference.intervals import floor_root, variance_of, variances

DRAWS = 4000


@dataclass(frozen=True)
class AllPairs:
    """Every pair (i, j), i < j, of K contenders: P = K (K − 1) / 2."""

    pair_P2: NDArray[np.int64]
    difference_P: Array
    """Mean of i minus mean of j."""
    error_P: Array
    """Standard errors."""
    freedom_P: Array
    p_P: Array
    """Two-sided p-value of each pair alone."""
    smallest_p_D: Array
    """Smallest p-value of all pairs in each of D draws without differences, sorted."""

    @cached_property
    def adjusted(self) -> Array:
        """p-values adjusted for all pairs."""
        below = np.searchsorted(self.smallest_p_D, self.p_P, side="right")
        return np.maximum((below + 1) / (len(self.smallest_p_D) + 1), self.p_P)

    def half_width(self, *, level: float = 0.95) -> Array:
        """Half-widths of intervals that hold for all pairs together with this probability."""
        alone = min(np.quantile(self.smallest_p_D, 1 - level), 1 - level)
        return stats.t.isf(alone / 2, self.freedom_P) * self.error_P

    def index_of(self, first: int, second: int) -> tuple[int, float]:
        """Return the pair's index, and the sign that makes its difference `first` minus `second`."""
        low, high = min(first, second), max(first, second)
        found = np.flatnonzero((self.pair_P2 == (low, high)).all(axis=1))
        return int(found[0]), 1.0 if first == low else -1.0


def compare_all_pairs(components: Components, *, draws: int = DRAWS, seed: int = 0) -> AllPairs:
    """Compare all pairs. The same components give the same numbers. Raises ValueError for one contender, or one without at least two seeds."""
    if len(components) < 2 or components.seeds_K.min() < 2:
        raise ValueError(f"{len(components)} contenders with {components.seeds_K.tolist()} seeds; expected at least 2 contenders with at least 2 seeds each")
    pair_P2 = np.array(list(combinations(range(len(components)), 2)))
    weight_PK = np.zeros((len(pair_P2), len(components)))
    weight_PK[np.arange(len(pair_P2)), pair_P2[:, 0]] = 1.0
    weight_PK[np.arange(len(pair_P2)), pair_P2[:, 1]] = -1.0
    variance_P, freedom_P = variances(components, weight_PK)
    difference_P = weight_PK @ components.mean_K
    return AllPairs(
        pair_P2,
        difference_P,
        np.sqrt(variance_P),
        freedom_P,
        two_sided_p(difference_P, variance_P, freedom_P),
        np.sort(_null_p(components, weight_PK, draws=draws, seed=seed).min(axis=1)),
    )


def two_sided_p(difference: Array, variance: Array, freedom: Array) -> Array:
    """p-values of differences; 1 where both the difference and its variance are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(variance > 0, np.abs(difference) / np.sqrt(variance), np.where(difference == 0, 0.0, np.inf))
    return 2 * stats.t.sf(t, freedom)


def _null_p(components: Components, weight_PK: Array, *, draws: int, seed: int) -> Array:
    """(draws, P) p-values of differences that are noise alone."""
    generator = np.random.default_rng(seed)
    freedom_K = components.seeds_K - 1
    seed_part_K = components.seed_part
    noise = generator.standard_normal((draws, len(components))) * np.sqrt(np.maximum(seed_part_K - components.shared_part, 0.0))
    noise = noise + generator.standard_normal((draws, len(components))) @ matrix_root(components.row_covariance_KK).T
    drawn_part = seed_part_K * generator.chisquare(freedom_K, (draws, len(components))) / freedom_K
    noise = noise + generator.standard_normal((draws, len(components))) @ floor_root(components).T
    variance, freedom = variance_of(
        weight_PK,
        seed_part=drawn_part,
        row_covariance_KK=components.row_covariance_KK,
        shared_part_K=components.shared_part,
        seeds_K=components.seeds_K.astype(float),
        rows=components.rows,
    )
    return two_sided_p(noise @ weight_PK.T, variance, freedom)
