"""Simultaneous inference over all pairs."""

import numpy as np
import pytest

from loretta_core.report.inference.components import SeedScores, estimate
from loretta_core.report.inference.max_t import compare_all_pairs


def contenders(means, *, seeds=5, rows=100, seed_spread=0.01, generator=None):
    generator = generator or np.random.default_rng(0)
    hard_R = generator.standard_normal(rows)
    made = []
    for mean in means:
        seed_S1 = seed_spread * generator.standard_normal((seeds, 1))
        made.append(SeedScores.from_rows(mean + seed_S1 + 0.1 * hard_R + 0.02 * generator.standard_normal((seeds, rows))))
    return estimate(made)


def test_two_contenders_need_hardly_an_adjustment():
    pairs = compare_all_pairs(contenders([0.8, 0.81]))
    assert pairs.adjusted[0] == pytest.approx(pairs.p_P[0], abs=0.03)


def test_more_pairs_widen_the_intervals():
    few, many = (compare_all_pairs(contenders([0.8] * count, seed_spread=0.1)) for count in (2, 6))
    assert (many.half_width() / many.error_P).mean() > 1.2 * (few.half_width() / few.error_P).mean()


def test_intervals_and_p_values_agree():
    pairs = compare_all_pairs(contenders([0.8, 0.82, 0.83, 0.9], seed_spread=0.01))
    outside_zero = np.abs(pairs.difference_P) > pairs.half_width()
    assert (outside_zero == (pairs.adjusted < 0.05)).all()
    assert outside_zero.any()
    assert not outside_zero.all()


def test_a_clear_difference_is_found_and_a_lucky_seed_is_not():
    rows = np.random.default_rng(0).random(200)
    steady = [SeedScores.from_rows((rows[None] < level).astype(float).repeat(3, axis=0)) for level in (0.9, 0.3)]
    assert compare_all_pairs(estimate(steady)).adjusted[0] < 0.01
    lucky = SeedScores.from_rows(np.stack([rows < level for level in (0.95, 0.6, 0.6)]).astype(float))
    assert compare_all_pairs(estimate([lucky, steady[0]])).adjusted[0] > 0.05


def test_the_same_predictions_are_no_difference():
    value_SR = (np.random.default_rng(0).random((3, 50)) < 0.8).astype(float)
    pairs = compare_all_pairs(estimate([SeedScores.from_rows(value_SR)] * 3))
    assert pairs.adjusted == pytest.approx(1.0)


def test_it_is_a_function_of_the_components():
    first, second = (compare_all_pairs(contenders([0.8, 0.85, 0.9])) for _ in range(2))
    assert (first.adjusted == second.adjusted).all()


def test_pairs_are_found_in_either_order():
    pairs = compare_all_pairs(contenders([0.8, 0.85, 0.9]))
    index, sign = pairs.index_of(2, 0)
    assert (pairs.pair_P2[index].tolist(), sign) == ([0, 2], -1.0)


@pytest.mark.parametrize(("count", "seeds"), [(1, 3), (2, 1)])
def test_too_little_to_compare(count, seeds):
    with pytest.raises(ValueError, match="expected at least 2 contenders with at least 2 seeds each"):
        compare_all_pairs(contenders([0.8] * count, seeds=seeds))
