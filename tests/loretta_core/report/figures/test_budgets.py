"""Best validation score over the number of trials: an expectation for random search alone."""

import pytest

from loretta_core.report.figures.budgets import budgets
from tests.loretta_core.report.figures.svg import texts
from tests.loretta_core.report.figures.tried import contenders_with

pytestmark = pytest.mark.integration

SCORES = [(0.7, 0.9, 0.8, 0.5), (0.6, 0.7, 0.8, 0.9)]


@pytest.mark.parametrize(("algorithm", "label", "most"), [("random", "expected best", 2), ("optuna", "best so far:", 4)])
def test_an_expectation_up_to_half_of_the_trials_or_the_best_so_far(algorithm, label, most):
    svg, note = budgets(contenders_with(SCORES), name="x", algorithm=algorithm)
    shown = texts(svg)
    assert any(text.startswith(label) for text in shown)
    assert {"lora r=1 · adam", "lora r=2 · adam", "trials"} <= set(shown)
    assert max(int(text) for text in shown if text.isdigit()) == most
    assert note == ""


def test_a_contender_with_few_finished_trials_is_left_out():
    few = (0.7, 0.9, None, 0.8)
    assert "lora r=2 · adam" not in texts(budgets(contenders_with([SCORES[0], few]), name="x", algorithm="random")[0])
    assert budgets(contenders_with([few]), name="x", algorithm="random") == ("", "")
