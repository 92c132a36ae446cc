"""What one start of a sweep may spend (`budget` in the sweep file), and what it has spent."""

from __future__ import annotations

from dataclasses import dataclass, field

from loretta_core.config import CellConfig
from loretta_core.config.sweep.limits import Budget
from loretta_core.errors import ConfigError
from loretta_core.report.units import counted


@dataclass
class Account:
    """Begun cells and the time of those that are over, against a budget. Without one nothing is ever spent."""

    budget: Budget | None
    usd_per_hour: float | None = None
    """Price of a device for an hour."""
    begun: int = field(default=0, init=False)
    hours: float = field(default=0.0, init=False)
    """Of workers."""
    device_hours: float = field(default=0.0, init=False)
    """What is paid for: a worker on a quarter of a GPU costs a quarter."""

    def may_begin(self) -> bool:
        """Whether another cell may start; it is counted then."""
        if self.spent:
            return False
        self.begun += 1
        return True

    def charge(self, cell: CellConfig, *, seconds: float) -> None:
        """A cell is over, however it ended: a failure costs as much."""
        hours = seconds * cell.engine.workers / 3600
        self.hours += hours
        self.device_hours += hours * (cell.engine.gpus or 1.0)

    @property
    def spent(self) -> str:
        """Which limit is reached, in words; "" while another cell may start."""
        if self.budget is None:
            return ""
        if self.budget.cells is not None and self.begun >= self.budget.cells:
            return f"budget.cells = {self.budget.cells}"
        if self.budget.hours is not None and self.hours >= self.budget.hours:
            return f"budget.hours = {self.budget.hours:g} ({self.hours:.2f} hours of workers)"
        usd = self.device_hours * (self.usd_per_hour or 0.0)
        if self.budget.usd is not None and usd >= self.budget.usd:
            return f"budget.usd = {self.budget.usd:g} ({usd:.2f} USD)"
        return ""

    def remark(self, left: int) -> str:
        """For the end of a sweep; "" when it was not the budget that stopped it."""
        return (
            ""
            if not (left and self.spent)
            else f"{self.spent} is spent: {counted(left, 'cell')} not begun; start the sweep again, or with a larger budget, to go on"
        )


def account(budget: Budget | None, *, price: float | None) -> Account:
    """Open one. Raises ConfigError when money is the limit and nobody knows the price.

    Args:
        price: of the cluster's devices for an hour, where the planner knows it.
    """
    if budget is not None and budget.usd is not None and budget.usd_per_hour is None and price is None:
        raise ConfigError(f"budget.usd = {budget.usd:g}: what these devices cost is not known; give budget.usd_per_hour, or limit budget.hours")
    return Account(budget, usd_per_hour=price if budget is None or budget.usd_per_hour is None else budget.usd_per_hour)
