"""P(best): in what share of joint resamples of seeds and rows a contender comes first; and mean ranks over several tasks.

A summary for people, never the claim that a contender is best: that takes `max_t.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from loretta_core.report.inference.components import Array, Components, matrix_root
from loretta_core.report.inference.intervals import floor_root

DRAWS = 20_000
RANK_DRAWS = 5_000

TIE = 1e-9
"""Scores that differ by less are equal but for rounding."""


def probability_best(components: Components, *, draws: int = DRAWS, seed: int = 0) -> Array:
    """Return (K,) shares that sum to 1. Raises ValueError where a contender has one seed: nothing is known of its training noise."""
    drawn = draw_means(components, draws=draws, seed=seed)
    return np.bincount(drawn.argmax(axis=1), minlength=len(components)) / draws


def draw_means(components: Components, *, draws: int, seed: int) -> Array:
    """Return (draws, K) means. The noise of each is t with S − 1 degrees of freedom for its seeds, normal for the rows, which all contenders share.

    Together they have the floor of the intervals: where all rows are right, or two contenders answer alike, no mean is certain. Raises ValueError where a
    contender has one seed.
    """
    if components.seeds_K.min() < 2:
        raise ValueError(f"contenders with {components.seeds_K.tolist()} seeds; expected at least 2 each")
    generator = np.random.default_rng(seed)
    count = len(components)
    rows = generator.standard_normal((draws, count)) @ matrix_root(components.row_covariance_KK).T
    spread_K = np.sqrt(np.maximum(components.seed_part - components.shared_part, 0.0))
    seeds = stats.t.rvs(components.seeds_K - 1, size=(draws, count), random_state=generator) * spread_K
    floor = generator.standard_normal((draws, count)) @ floor_root(components).T
    return components.mean_K + rows + seeds + floor


def rank_over_groups(groups: Sequence[Components], *, draws: int = RANK_DRAWS, level: float = 0.95) -> list[tuple[float, float, float]]:
    """Return (mean rank, low, high) of each contender over groups, which are tasks and models with the same contenders in the same order. Rank 1 is the highest
    score; ties share their mean rank. The ends are quantiles of the mean rank in draws, independent between groups."""
    seen = np.mean([_ranks(components.mean_K[None])[0] for components in groups], axis=0)
    drawn = np.mean([_ranks(draw_means(components, draws=draws, seed=index)) for index, components in enumerate(groups)], axis=0)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return list(zip(seen.tolist(), low.tolist(), high.tolist(), strict=True))


def _ranks(mean_DK: Array) -> Array:
    return stats.rankdata(-np.round(mean_DK / TIE) * TIE, axis=1)
