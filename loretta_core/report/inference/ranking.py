"""P(best): in what share of joint resamples of seeds and rows a contender comes first.

A summary for people, never the claim that a contender is best: that takes `max_t.py`.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from loretta_core.report.inference.components import Array, Components, matrix_root

DRAWS = 20_000

TIE = 1e-9
"""Scores that differ by less are equal but for rounding."""


def probability_best(components: Components, *, draws: int = DRAWS, seed: int = 0) -> Array:
    """Return (K,) shares that sum to 1; a tie is split. The noise of each mean is t with S − 1 degrees of freedom for its seeds, normal for the rows, which all
    contenders share. Raises ValueError where a contender has one seed: nothing is known of its training noise."""
    if components.seeds_K.min() < 2:
        raise ValueError(f"contenders with {components.seeds_K.tolist()} seeds; expected at least 2 each")
    generator = np.random.default_rng(seed)
    count = len(components)
    rows = generator.standard_normal((draws, count)) @ matrix_root(components.row_covariance_KK).T
    spread_K = np.sqrt(np.maximum(components.seed_part - components.shared_part, 0.0))
    seeds = stats.t.rvs(components.seeds_K - 1, size=(draws, count), random_state=generator) * spread_K
    drawn = components.mean_K + rows + seeds
    first = drawn >= drawn.max(axis=1, keepdims=True) - TIE
    return (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
