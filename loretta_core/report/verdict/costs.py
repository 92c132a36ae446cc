"""Costs of contenders: which constraints of [decide] they break, and which one is the cheapest among those that are as good as the recommended one."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from loretta_core.config.sweep.protocol import Decide
from loretta_core.report import units
from loretta_core.report.verdict.contenders import ContenderResult
from loretta_core.report.verdict.values import Cheapest, Standing

CostOf = Callable[[ContenderResult], float | None]
"""Reads a cost of a contender; None where it was not measured."""

GIB = 2**30


def broken_constraints(contender: ContenderResult, *, decide: Decide, usd_per_hour: float | None) -> tuple[str, ...]:
    """Return the constraints that a contender breaks, in words. A cost that is not known breaks its constraint: the answer must respect it."""
    hours = _hours(contender)
    usd = max(contender.prices(usd_per_hour), default=None)
    memory = contender.most(lambda record: record.cost.peak_memory_bytes)
    params = contender.most(lambda record: record.cost.trainable_params)
    limits: list[tuple[str, float | None, float | None, Callable[[float], str]]] = [
        ("peak memory", decide.max_memory_gib and decide.max_memory_gib * GIB, memory, lambda value: units.size(round(value))),
        ("trainable parameters", decide.max_trainable_params, params, lambda value: units.count(round(value))),
        ("training time", decide.max_train_hours and decide.max_train_hours * 3600, hours and hours * 3600, units.seconds),
        ("cost", decide.max_usd, usd, lambda value: f"{value:.2f} USD"),
    ]
    return tuple(
        f"{name} {show(value)} is above {show(limit)}" if value is not None else f"{name} is not known and limited to {show(limit)}"
        for name, limit, value, show in limits
        if limit is not None and (value is None or value > limit)
    )


def cheapest(standings: Sequence[Standing], *, usd_per_hour: float | None) -> tuple[Cheapest, ...]:
    """Return the cheapest of these contenders by each cost that is known for all of them; of equal ones the first."""
    costs: Mapping[str, tuple[CostOf, Callable[[float], str]]] = {
        "trainable parameters": (lambda each: each.trainable_params, lambda value: units.count(round(value))),
        "training time": (lambda each: each.train_s, units.seconds),
        "peak memory": (lambda each: each.peak_memory_bytes, lambda value: units.size(round(value))),
        "cost": (lambda each: statistics.median(each.prices(usd_per_hour)) if each.prices(usd_per_hour) else None, lambda value: f"{value:.2f} USD"),
    }
    found = []
    for name, (cost, show) in costs.items():
        known = [(value, index) for index, standing in enumerate(standings) if (value := cost(standing.contender)) is not None]
        if known and len(known) == len(standings):
            value, index = min(known)
            found.append(Cheapest(name, show(value), standings[index]))
    return tuple(found)


def _hours(contender: ContenderResult) -> float | None:
    """Return the hours of the longest replicate's training."""
    longest = contender.most(lambda record: record.cost.train_s)
    return None if longest is None else longest / 3600
