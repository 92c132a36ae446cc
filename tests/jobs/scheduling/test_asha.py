"""Who goes on at a rung: the best of a bracket, at equal shares of steps."""

import pytest

from jobs.scheduling.asha import AshaScores, bracket
from loretta_core.config.sweep.limits import EarlyStopping

RULE = EarlyStopping(keep=3, first=0.1)


def test_rungs_are_shares_of_the_steps():
    assert RULE.rungs == pytest.approx((0.1, 0.3, 0.9))
    assert EarlyStopping().rungs == pytest.approx((1 / 9, 1 / 3))


def test_the_first_to_come_goes_on_and_then_one_in_three(cell):
    halving = AshaScores(RULE)
    verdicts = [halving.judge(cell(f"seed={seed}").to_json(), 0.1, score) for seed, score in enumerate((0.7, 0.6, 0.8, 0.75, 0.5))]
    assert [bool(verdict) for verdict in verdicts] == [False, True, False, False, True]
    assert "after 10 % of its steps its validation score, 0.600, was number 2 of the 2 first-order cells" in verdicts[1]


def test_nobody_is_judged_before_the_first_rung_nor_at_the_end_nor_twice_at_one(cell):
    halving = AshaScores(RULE)
    halving.judge(cell("seed=0").to_json(), 0.1, 0.9)
    assert halving.judge(cell("seed=1").to_json(), 0.05, 0.1) == ""
    assert halving.judge(cell("seed=1").to_json(), 1.0, 0.1) == ""
    assert halving.judge(cell("seed=2").to_json(), 0.12, 0.1) != ""
    assert halving.judge(cell("seed=2").to_json(), 0.15, 0.1) == ""


def test_the_best_score_so_far_counts(cell):
    halving = AshaScores(RULE)
    halving.judge(cell("seed=0").to_json(), 0.1, 0.6)
    halving.judge(cell("seed=1").to_json(), 0.05, 0.8)
    assert halving.judge(cell("seed=1").to_json(), 0.1, 0.5) == ""


def test_zeroth_order_cells_compete_among_themselves(cell):
    halving, slow = AshaScores(RULE), cell("trainer=zo_sgd")
    for seed in range(5):
        halving.judge(cell(f"seed={seed}").to_json(), 0.3, 0.9)
    assert halving.judge(slow.to_json(), 0.3, 0.55) == ""
    assert bracket(slow)[2] == "zeroth-order"


def test_scores_of_other_tasks_do_not_count(cell):
    halving = AshaScores(RULE)
    halving.judge(cell("task.train_rows=100").to_json(), 0.1, 0.9)
    assert halving.judge(cell().to_json(), 0.1, 0.5) == ""


def test_cells_from_before_are_remembered(cell):
    halving = AshaScores(RULE)
    halving.recall(cell("seed=0").to_json(), [(0.0, 0.5), (0.1, 0.8), (1.0, 0.9)])
    assert halving.judge(cell("seed=1").to_json(), 0.1, 0.7) != ""
