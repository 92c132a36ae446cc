"""The Pareto set: what no other cell beats in both."""

from loretta_core.report.pareto import COSTS, front, fronts
from loretta_core.report.rows import ResultRow
from tests.loretta_core.report.synthetic import failed_record, make_cell, make_record


def row(correct, params, *, seed=0, task="toy_sentiment"):
    cell = make_cell("lora", "adam", f"seed={seed}")
    record = make_record(cell, correct=correct, cost={"trainable_params": params}) if correct is not None else failed_record(cell)
    return ResultRow(cell_id=f"{task}-{correct}-{params}", cell=cell, labels={"model": "m", "task": task, "method": "lora", "trainer": "adam"}, record=record)


def test_the_cheapest_and_every_better_one_that_costs_more():
    rows = [row(900, 100), row(800, 10), row(850, 50), row(840, 60), row(800, 20), row(None, 1)]
    assert [found.cell_id for found in front(rows, cost=COSTS["trainable_params"])] == ["toy_sentiment-800-10", "toy_sentiment-850-50", "toy_sentiment-900-100"]


def test_tasks_are_not_compared():
    rows = [row(900, 100), row(100, 100, task="other"), row(90, 200, task="other")]
    assert fronts(rows, cost=COSTS["trainable_params"]) == {"toy_sentiment-900-100", "other-100-100"}
    assert front([], cost=COSTS["forwards"]) == []
