"""The number of trials that `tune.budget` pays for, from the predicted cost of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from loretta_core.config import CellConfig, SweepConfig
from loretta_core.config.price import price_usd
from loretta_core.config.sweep.contenders import GridContender
from loretta_core.config.sweep.protocol import TuneBudget
from loretta_core.config.sweep.search import Sample
from loretta_core.errors import ConfigError
from loretta_core.plan.cost import passes_per_step
from loretta_core.plan.devices import parse_devices
from loretta_core.plan.placement.engine_options import ROWS, own_engine, try_engine
from loretta_core.plan.sizing import size

MOST_TRIALS = 10_000


def fix_trials(config: SweepConfig) -> SweepConfig:
    """Return the sweep with the number of trials of every contender whose manifest has none yet.

    Raises ConfigError where a cost is not known, or the budget does not pay for one trial.
    """
    if config.tune is None or config.tune.budget is None:
        return config
    cost_of = _cost_function(config.tune.budget, usd_per_hour=config.budget.usd_per_hour if config.budget else None)
    return config.with_contenders(
        replace(contender, count=affordable(contender, budget=config.tune.budget, cost_of=cost_of))
        if contender.tuned and contender.count is None
        else contender
        for contender in config.contenders
    )


def affordable(contender: GridContender, *, budget: TuneBudget, cost_of: Callable[[CellConfig], float | None]) -> int:
    """Return how many trials of a contender cost no more than its budget together. Raises ConfigError for none, and where a cost is not known.

    A search by Optuna is taken to cost what random trials do.
    """
    name, limit = _limit(budget)
    spent = 0.0
    for count in range(MOST_TRIALS):
        cost = cost_of(contender.trial_with(_sample(contender, count)))
        if cost is None or cost <= 0:
            raise ConfigError(f"tune.budget.{name}: what a trial of {contender.cell.label} costs cannot be predicted; give tune.trials instead")
        spent += cost
        if spent > limit and not count:
            raise ConfigError(f"tune.budget.{name} = {limit:g}: one trial of {contender.cell.label} is predicted to cost {cost:.3g}; give more, or tune.trials")
        if spent > limit:
            return count
    return MOST_TRIALS


def _sample(contender: GridContender, index: int) -> Sample:
    """Return the settings of a trial that needs no result."""
    before = [{}, *contender.first]
    return before[index] if index < len(before) else contender.random_sample(index - len(before))


def _limit(budget: TuneBudget) -> tuple[str, float]:
    return next((name, value) for name in ("forwards", "hours", "usd") if (value := getattr(budget, name)) is not None)


def _cost_function(budget: TuneBudget, *, usd_per_hour: float | None) -> Callable[[CellConfig], float | None]:
    """Return what a cell costs in the unit of the budget; None where it cannot be predicted."""
    devices = parse_devices(budget.device)

    def seconds(cell: CellConfig) -> float | None:
        sized = size(cell)
        return None if sized is None else try_engine(sized, own_engine(cell.engine), devices).cost.total_s

    def hours(cell: CellConfig) -> float | None:
        spent = seconds(cell)
        return None if spent is None else spent * cell.engine.workers / 3600

    def forwards(cell: CellConfig) -> float | None:
        sized = size(cell)
        if sized is None:
            return None
        steps = cell.trainer.total_steps(rows=cell.task.train_rows or ROWS, batch_size=cell.batch_size)
        return steps * passes_per_step(cell, trainable=sized.shapes.trainable, total=sized.shapes.block.total)

    def usd(cell: CellConfig) -> float | None:
        price = usd_per_hour if usd_per_hour is not None else devices.device.price
        return price_usd(seconds(cell), workers=cell.engine.workers, gpus=cell.engine.gpus, usd_per_hour=price)

    return forwards if budget.forwards is not None else hours if budget.hours is not None else usd
