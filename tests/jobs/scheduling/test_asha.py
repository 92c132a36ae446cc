"""Early stopping keeps the best cells of a bracket at each rung, at equal shares of steps."""

import pytest

from jobs.scheduling.asha import AshaScores, bracket
from loretta_core.config.sweep.limits import EarlyStopping

RULE = EarlyStopping(keep=3, first=0.1)


def test_rungs_are_shares_of_the_steps():
    assert RULE.rungs == pytest.approx((0.1, 0.3, 0.9))
    assert EarlyStopping().rungs == pytest.approx((1 / 9, 1 / 3))


def test_the_first_to_come_goes_on_and_then_one_in_three(cell):
    scores = AshaScores(RULE)
    verdicts = [scores.report_score(cell(f"seed={seed}").to_json(), share=0.1, score=score) for seed, score in enumerate((0.7, 0.6, 0.8, 0.75, 0.5))]
    assert [bool(verdict) for verdict in verdicts] == [False, True, False, False, True]
    assert "after 10 % of its steps its validation score, 0.600, was number 2 of the 2 first-order cells" in verdicts[1]


def test_no_cell_is_stopped_before_the_first_rung_nor_at_the_end_nor_twice_at_one(cell):
    scores = AshaScores(RULE)
    scores.report_score(cell("seed=0").to_json(), share=0.1, score=0.9)
    assert scores.report_score(cell("seed=1").to_json(), share=0.05, score=0.1) == ""
    assert scores.report_score(cell("seed=1").to_json(), share=1.0, score=0.1) == ""
    assert scores.report_score(cell("seed=2").to_json(), share=0.12, score=0.1) != ""
    assert scores.report_score(cell("seed=2").to_json(), share=0.15, score=0.1) == ""


def test_the_best_score_so_far_counts(cell):
    scores = AshaScores(RULE)
    scores.report_score(cell("seed=0").to_json(), share=0.1, score=0.6)
    scores.report_score(cell("seed=1").to_json(), share=0.05, score=0.8)
    assert scores.report_score(cell("seed=1").to_json(), share=0.1, score=0.5) == ""


def test_zeroth_order_cells_compete_among_themselves(cell):
    scores, slow = AshaScores(RULE), cell("trainer=zo_sgd")
    for seed in range(5):
        scores.report_score(cell(f"seed={seed}").to_json(), share=0.3, score=0.9)
    assert scores.report_score(slow.to_json(), share=0.3, score=0.55) == ""
    assert bracket(slow)[2] == "zeroth-order"


def test_scores_of_other_tasks_do_not_count(cell):
    scores = AshaScores(RULE)
    scores.report_score(cell("task.train_rows=100").to_json(), share=0.1, score=0.9)
    assert scores.report_score(cell().to_json(), share=0.1, score=0.5) == ""


def test_cells_from_before_are_remembered(cell):
    scores = AshaScores(RULE)
    scores.load_history(cell("seed=0").to_json(), [(0.0, 0.5), (0.1, 0.8), (1.0, 0.9)])
    assert scores.report_score(cell("seed=1").to_json(), share=0.1, score=0.7) != ""
