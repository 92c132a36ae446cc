"""Racing: contenders that are clearly worse get no further seeds.

Looks are fixed in advance (3, 4, … seeds). At each one, the level that Lan and DeMets (Biometrika 70, 1983) let be spent by then, less what earlier looks
spent, is used for all pairs together (`max_t.py`). The sum over looks is the level of the whole race; what the looks share is not used, so the race is a
little conservative.

    spent(t) = 2 − 2 Φ(z_{1 − level/2} / √t)          O'Brien–Fleming's shape, t = seeds so far / most seeds
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from loretta_core.report.inference.components import Components
from loretta_core.report.inference.max_t import compare_all_pairs

LEVEL = 0.05


def levels(looks: Sequence[int], *, level: float = LEVEL) -> list[float]:
    """Return the level of each look. Raises ValueError unless looks increase, from 2 seeds on."""
    if list(looks) != sorted(set(looks)) or not looks or looks[0] < 2:
        raise ValueError(f"looks at {list(looks)} seeds; expected increasing numbers from 2 on")
    share = np.asarray(looks, dtype=float) / looks[-1]
    spent = 2 * stats.norm.sf(stats.norm.isf(level / 2) / np.sqrt(share))
    return np.diff(spent, prepend=0.0).tolist()


def eliminated(components: Components, *, level: float, seed: int = 0) -> list[int]:
    """Return the contenders that another one beats at this level, adjusted for all pairs."""
    pairs = compare_all_pairs(components, seed=seed)
    worse: set[int] = set()
    for (first, second), difference, p in zip(pairs.pair_P2.tolist(), pairs.difference_P, pairs.adjusted, strict=True):
        if p <= level:
            worse.add(second if difference > 0 else first)
    return sorted(worse)
