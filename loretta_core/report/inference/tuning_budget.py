"""Expected best validation score after k random trials: what a smaller tuning budget would have found.

    E[max of k of n trials] = Σ_j C(j − 1, k − 1) / C(n, k) · v_(j)        v_(1) ≤ … ≤ v_(n)

The mean over all subsets of k trials, which is unbiased for random search; the plug-in estimator of Dodge et al. (arXiv 1909.03004) draws with replacement
and is too low (Tang et al., arXiv 2004.13705). Near k = n it is nearly one number, the maximum seen, so it is shown up to half of the trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def expected_best(scores: Sequence[float]) -> list[float]:
    """Return the expected best of 1, 2, … ⌈n / 2⌉ of these n scores, larger being better. A failed trial counts as minus infinity: give only the finished ones
    where that is not meant. Raises ValueError without scores."""
    if not scores:
        raise ValueError("no trial has a validation score")
    ordered, count = sorted(scores), len(scores)
    shown = math.ceil(count / 2)
    return [math.fsum(math.comb(j, k - 1) * value for j, value in enumerate(ordered)) / math.comb(count, k) for k in range(1, shown + 1)]


def best_so_far(scores: Sequence[float]) -> list[float]:
    """Return the running maximum, in the order of the trials: what a search that learns from its trials had found after each."""
    found: list[float] = []
    for score in scores:
        found.append(max(score, found[-1]) if found else score)
    return found
