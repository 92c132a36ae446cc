"""P(best)."""

import numpy as np
import pytest

from loretta_core.report.inference.components import SeedScores, estimate
from loretta_core.report.inference.ranking import probability_best, rank_over_groups


def of_scores(*scores):
    """Contenders whose rows are all alike: seeds alone decide."""
    return estimate([SeedScores.from_rows(np.repeat(np.asarray(score)[:, None], 50, axis=1)) for score in scores])


def test_shares_sum_to_one_and_follow_the_means():
    share_K = probability_best(of_scores([0.8, 0.82, 0.81], [0.9, 0.91, 0.9], [0.89, 0.9, 0.91]))
    assert share_K.sum() == pytest.approx(1.0)
    assert share_K[0] < 0.05 < share_K[2] < share_K[1]


def test_equal_contenders_share_it():
    value_SR = (np.random.default_rng(0).random((3, 50)) < 0.8).astype(float)
    assert probability_best(estimate([SeedScores.from_rows(value_SR)] * 4)) == pytest.approx(0.25, abs=0.02)


def test_ties_are_split():
    assert probability_best(of_scores([0.5, 0.5], [0.5, 0.5])).tolist() == pytest.approx([0.5, 0.5], abs=0.02)


@pytest.mark.parametrize(("rows", "certain"), [(20, False), (5000, True)])
def test_few_rows_that_all_agree_leave_a_chance_to_the_second(rows, certain):
    """19 of 20 right in every run against 20 of 20: nothing varies over the seeds, and almost nothing over the rows; 250 of 5,000 is no chance."""
    value_R = np.ones(rows)
    value_R[: rows // 20] = 0.0
    share_K = probability_best(estimate([SeedScores.from_rows(np.tile(value, (3, 1))) for value in (np.ones(rows), value_R)]))
    assert (share_K[1] < 1e-3) if certain else (0.05 < share_K[1] < 0.5)


def test_a_lucky_seed_is_not_much_of_a_chance():
    lucky, steady = probability_best(of_scores([0.95, 0.6, 0.6], [0.9, 0.9, 0.9]))
    assert lucky < 0.2 < steady


def test_one_seed_gives_none():
    with pytest.raises(ValueError, match="expected at least 2 each"):
        probability_best(of_scores([0.5], [0.6]))


def test_ranks_are_averaged_over_tasks_and_models():
    first, second = of_scores([0.9, 0.91, 0.9], [0.5, 0.51, 0.5], [0.2, 0.2, 0.21]), of_scores([0.5, 0.51, 0.5], [0.9, 0.91, 0.9], [0.2, 0.2, 0.21])
    ranks = rank_over_groups([first, second])
    assert [mean for mean, _, _ in ranks] == [1.5, 1.5, 3.0]
    assert all(low <= mean <= high for mean, low, high in ranks)


def test_ties_share_their_rank():
    assert [mean for mean, _, _ in rank_over_groups([of_scores([0.5, 0.5], [0.5, 0.5], [0.4, 0.4])])] == [1.5, 1.5, 3.0]
