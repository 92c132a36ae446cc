"""The evaluations that a plan counts are those that a run makes."""

import pytest

from loretta_core.config import cell_from_overrides
from loretta_core.plan.cost import evaluated_rows, evaluations_of
from loretta_core.plan.devices import parse_devices
from loretta_core.plan.placement.fit import plan_on


def cell(*more, trainer="adam"):
    return cell_from_overrides(["model=toy-bert", "task=toy_sentiment", "method=lora", f"trainer={trainer}", *more])


@pytest.mark.parametrize(("steps", "every", "times"), [(5, None, 6), (40, None, 11), (45, None, 10), (40, 100, 2), (40, 30, 3)])
def test_validation_rows_are_scored_before_in_between_and_at_the_end(steps, every, times):
    found = cell(f"trainer.steps={steps}", *([f"trainer.eval_every={every}"] if every else []))
    assert evaluations_of(found, steps=steps) == times
    assert evaluated_rows(found, steps=steps) == times * found.task.validation_rows + 2 * found.task.test_rows


def test_what_trains_nothing_is_scored_once():
    assert evaluations_of(cell(trainer="none"), steps=0) == 1


def test_a_plan_says_what_is_scored():
    fit = plan_on(cell("trainer.steps=40", "task.validation_rows=300", "task.test_rows=200"), parse_devices("a100-40gb"))
    assert fit.evaluations == "11 × 300 validation rows, 2 × 200 test rows"
    assert 0 < fit.evaluation_s < fit.total_s
