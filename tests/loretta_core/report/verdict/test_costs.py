"""Costs of contenders in money: all workers are paid for, in constraints and for the cheapest alike."""

import pytest

from loretta_core.config.sweep.protocol import Decide
from loretta_core.report.rows import ResultRow
from loretta_core.report.verdict.contenders import ContenderResult
from loretta_core.report.verdict.costs import broken_constraints, cheapest
from loretta_core.report.verdict.values import Estimate, Standing
from tests.loretta_core.report.synthetic import make_cell, make_record


def contender(method, *engine, hours=(1.0, 1.0, 1.5)):
    cells = [make_cell(method, "adam", f"seed={seed}", *engine) for seed in range(len(hours))]
    labels = {"model": "toy-bert", "task": "toy", "method": method, "trainer": "adam"}
    rows = [
        ResultRow(cell.cell_id, cell, labels, make_record(cell, cost={"train_s": each * 3600, "trainable_params": None, "peak_memory_bytes": None}))
        for cell, each in zip(cells, hours, strict=True)
    ]
    return ContenderResult("toy", "toy-bert", method, "adam", f"{method} · adam", tuple(rows))


@pytest.mark.parametrize(
    ("engine", "usd"),
    [((), "3.00"), (("engine.type=ddp", "engine.workers=4"), "12.00"), (("engine.gpus=0.5",), "1.50")],
    ids=["one worker", "four workers", "half a GPU"],
)
def test_the_longest_replicate_pays_for_all_its_workers(engine, usd):
    (broken,) = broken_constraints(contender("lora", *engine), decide=Decide(max_usd=1), usd_per_hour=2.0)
    assert broken == f"cost {usd} USD is above 1.00 USD"


def test_fewer_hours_on_more_workers_are_not_cheaper():
    alone, four = contender("lora"), contender("ft", "engine.type=ddp", "engine.workers=4", hours=(0.5, 0.5, 0.5))
    found = cheapest([Standing(each, Estimate(0.9), seeds=3) for each in (four, alone)], usd_per_hour=2.0)
    assert {each.cost: (each.standing.contender.method, each.text) for each in found} == {"training time": ("ft", "30 min 00 s"), "cost": ("lora", "2.00 USD")}
