"""Racing: what looks may spend, and who is out."""

import numpy as np
import pytest

from loretta_core.report.inference.components import SeedScores, estimate
from loretta_core.report.inference.racing import eliminated, levels


def test_looks_spend_the_level_together_and_early_ones_little():
    allowed = levels([3, 4, 5, 6, 7, 8, 9, 10])
    assert sum(allowed) == pytest.approx(0.05)
    assert allowed[0] < 0.001 < allowed[-1]


def test_one_look_spends_it_all():
    assert levels([5]) == [pytest.approx(0.05)]


@pytest.mark.parametrize("looks", [[], [1, 2], [4, 3], [3, 3]])
def test_looks_increase_from_two_seeds_on(looks):
    with pytest.raises(ValueError, match="increasing numbers from 2 on"):
        levels(looks)


def test_a_clearly_worse_contender_is_out():
    hard_R = np.random.default_rng(0).random(300)
    value = [np.stack([(hard_R < level + 0.01 * seed) for seed in range(3)]).astype(float) for level in (0.9, 0.88, 0.4)]
    assert eliminated(estimate([SeedScores.from_rows(each) for each in value]), level=0.01) == [2]
