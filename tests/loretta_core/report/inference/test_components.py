"""Variance components against their definition, and against what a balanced two-way analysis of variance gives."""

import numpy as np
import pytest

from loretta_core.report.inference.components import SeedScores, estimate


def anova(values):
    """Mean squares of a two-way table without replication, written as the textbook has them."""
    seeds, rows = values.shape
    grand, by_seed, by_row = values.mean(), values.mean(1, keepdims=True), values.mean(0, keepdims=True)
    of_seeds = rows * ((by_seed - grand) ** 2).sum() / (seeds - 1)
    of_rows = seeds * ((by_row - grand) ** 2).sum() / (rows - 1)
    residual = ((values - by_seed - by_row + grand) ** 2).sum() / ((seeds - 1) * (rows - 1))
    return of_seeds, of_rows, residual


@pytest.fixture
def values():
    generator = np.random.default_rng(0)
    return generator.standard_normal((4, 1)) + 2 * generator.standard_normal((1, 30)) + generator.standard_normal((4, 30))


def test_components_are_the_mean_squares_of_a_two_way_analysis(values):
    of_seeds, of_rows, residual = anova(values)
    found = estimate([SeedScores.from_rows(values)])
    assert found.seed_variance_K[0] == pytest.approx(of_seeds / 30)
    assert found.row_covariance_KK[0, 0] == pytest.approx(of_rows / (4 * 30))
    assert found.interaction_K[0] == pytest.approx(residual / 30)


def test_components_find_the_truth_of_a_large_table():
    generator = np.random.default_rng(1)
    seeds, rows = 400, 500
    values = 0.5 * generator.standard_normal((seeds, 1)) + 2.0 * generator.standard_normal((1, rows)) + 1.5 * generator.standard_normal((seeds, rows))
    found = estimate([SeedScores.from_rows(values)])
    assert found.interaction_K[0] * rows == pytest.approx(1.5**2, rel=0.05)
    assert (found.seed_variance_K[0] - found.interaction_K[0]) == pytest.approx(0.5**2, rel=0.2)
    assert (found.row_covariance_KK[0, 0] - found.shared_part[0]) * rows == pytest.approx(2.0**2, rel=0.2)


def test_bootstrap_samples_of_a_mean_give_what_its_rows_give(values):
    draw_MR = np.random.default_rng(2).integers(0, 30, (40_000, 30))
    resampled_SM = values[:, draw_MR].mean(axis=2)
    by_rows = estimate([SeedScores.from_rows(values)])
    by_samples = estimate([SeedScores.from_resamples(values.mean(1), resampled_SM, rows=30)])
    assert by_samples.row_covariance_KK[0, 0] == pytest.approx(by_rows.row_covariance_KK[0, 0], rel=0.03)
    assert by_samples.interaction_K[0] == pytest.approx(by_rows.interaction_K[0], rel=0.1)


def test_shared_rows_correlate(values):
    found = estimate([SeedScores.from_rows(values), SeedScores.from_rows(values[:2] + 1.0)])
    assert found.row_covariance_KK[0, 1] > 0.8 * found.row_covariance_KK[0, 0]


def test_one_seed_says_nothing_of_training_noise(values):
    found = estimate([SeedScores.from_rows(values[:1])])
    assert found.seed_variance_K[0] == found.interaction_K[0] == 0.0


def test_contenders_must_have_seen_the_same_rows(values):
    with pytest.raises(ValueError, match=r"\[20, 30\] rows; expected the same rows"):
        estimate([SeedScores.from_rows(values), SeedScores.from_rows(values[:, :20])])
