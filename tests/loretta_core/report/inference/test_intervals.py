"""Intervals against formulas for special cases in which the textbook has one."""

import numpy as np
import pytest
from scipy import stats

from loretta_core.report.inference.components import SeedScores, estimate
from loretta_core.report.inference.intervals import difference_interval, mean_interval, row_floor


def test_where_rows_do_not_differ_it_is_the_t_interval_of_the_seeds():
    score_S = np.array([0.8, 0.9, 0.85, 0.7])
    found = mean_interval(estimate([SeedScores.from_rows(np.repeat(score_S[:, None], 50, axis=1))]), 0)
    low, high = stats.t.interval(0.95, 3, loc=score_S.mean(), scale=stats.sem(score_S))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.degrees_of_freedom == pytest.approx(3)


def test_where_seeds_do_not_differ_it_is_the_t_interval_of_the_rows():
    value_R = np.random.default_rng(0).random(40)
    found = mean_interval(estimate([SeedScores.from_rows(np.repeat(value_R[None], 5, axis=0))]), 0)
    low, high = stats.t.interval(0.95, 39, loc=value_R.mean(), scale=stats.sem(value_R))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_one_seed_gives_the_t_interval_of_its_rows():
    value_R = np.random.default_rng(0).random(40)
    found = mean_interval(estimate([SeedScores.from_rows(value_R[None])]), 0)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 39, loc=value_R.mean(), scale=stats.sem(value_R)))


def test_a_difference_without_seed_noise_is_the_paired_t_test():
    generator = np.random.default_rng(0)
    hard_R = 3 * generator.standard_normal(60)
    first_R, second_R = (hard_R + 0.3 * generator.standard_normal(60) + shift for shift in (0.2, 0.0))
    components = estimate([SeedScores.from_rows(np.repeat(value[None], 3, axis=0)) for value in (first_R, second_R)])
    found = difference_interval(components, 0, 1)
    paired = stats.ttest_rel(first_R, second_R).confidence_interval()
    assert (found.low, found.high) == (pytest.approx(paired.low), pytest.approx(paired.high))
    alone = mean_interval(components, 0)
    assert found.standard_error < alone.standard_error / 3  # rows that are hard for both cancel


def test_a_difference_without_row_noise_is_welchs_test():
    first_S, second_S = np.array([0.95, 0.6, 0.6]), np.array([0.91, 0.9, 0.9, 0.92])
    components = estimate([SeedScores.from_rows(np.repeat(score[:, None], 100, axis=1)) for score in (first_S, second_S)])
    found = difference_interval(components, 0, 1)
    welch = stats.ttest_ind(first_S, second_S, equal_var=False).confidence_interval()
    assert (found.low, found.high) == (pytest.approx(welch.low), pytest.approx(welch.high))


def test_a_difference_changes_its_sign_with_the_order():
    components = estimate([SeedScores.from_rows(np.random.default_rng(seed).random((3, 20))) for seed in range(2)])
    first, second = difference_interval(components, 0, 1), difference_interval(components, 1, 0)
    assert (first.low, first.high) == (pytest.approx(-second.high), pytest.approx(-second.low))


@pytest.mark.parametrize(("rows", "apart"), [(2, False), (12, True)])
def test_rows_that_do_not_vary_still_say_how_few_they_are(rows, apart):
    """All right against all wrong: two rows show nothing, twelve do. Two that answer alike need not be equal on other rows."""
    right, wrong = (SeedScores.from_rows(np.full((3, rows), value)) for value in (1.0, 0.0))
    components = estimate([right, wrong, right])
    assert (difference_interval(components, 0, 1).low > 0) == apart
    alike = difference_interval(components, 0, 2)
    assert alike.low < 0 < alike.high
    assert mean_interval(components, 0).low < 1


def test_the_floor_is_below_the_variance_of_rows_that_vary():
    assert row_floor(100) == pytest.approx(2 * 102 / 104**3)
    assert row_floor(100) < 0.96 * 0.04 / 100
