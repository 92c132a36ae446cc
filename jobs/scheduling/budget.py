"""The budget of one start of a sweep (`budget` in the sweep file), and what has been spent of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from loretta_core.config import CellConfig
from loretta_core.config.price import price_usd
from loretta_core.config.sweep.limits import Budget
from loretta_core.errors import ConfigError
from loretta_core.report.units import counted


@dataclass
class Account:
    """Counts started cells and the time of those that are over, against a budget. Without a budget the limit is never reached."""

    budget: Budget | None
    usd_per_hour: float | None = None
    """Price of a device for an hour."""
    started: int = field(default=0, init=False)
    """Cells that were started so far."""
    hours: float = field(default=0.0, init=False)
    """Hours of workers so far."""
    usd: float = field(default=0.0, init=False)
    """Money so far; 0 where no price is known."""

    def try_start(self) -> bool:
        """Count one more cell as started, if the budget allows it; returns whether it does."""
        if self.spent:
            return False
        self.started += 1
        return True

    def charge(self, cell: CellConfig, *, seconds: float) -> None:
        """Add the time of a cell that is over, however it ended: a failure costs as much."""
        engine = cell.engine
        self.hours += seconds * engine.workers / 3600
        self.usd += price_usd(seconds, workers=engine.workers, gpus=engine.gpus, usd_per_hour=self.usd_per_hour) or 0.0

    @property
    def spent(self) -> str:
        """The limit that is reached, in words; "" while another cell may start."""
        if self.budget is None:
            return ""
        if self.budget.cells is not None and self.started >= self.budget.cells:
            return f"budget.cells = {self.budget.cells}"
        if self.budget.hours is not None and self.hours >= self.budget.hours:
            return f"budget.hours = {self.budget.hours:g} ({self.hours:.2f} hours of workers)"
        if self.budget.usd is not None and self.usd >= self.budget.usd:
            return f"budget.usd = {self.budget.usd:g} ({self.usd:.2f} USD)"
        return ""

    def remark(self, left: int) -> str:
        """Return the line for the end of a sweep that left so many cells; "" when it was not the budget that stopped it."""
        return (
            ""
            if not (left and self.spent)
            else f"{self.spent} is spent: {counted(left, 'cell')} not begun; start the sweep again, or with a larger budget, to go on"
        )


def open_account(budget: Budget | None, *, price: float | None) -> Account:
    """Create the account of a sweep that starts. Raises ConfigError when money is the limit and no price is known.

    Args:
        price: of the cluster's devices for an hour, where the planner knows it.
    """
    if budget is not None and budget.usd is not None and budget.usd_per_hour is None and price is None:
        raise ConfigError(f"budget.usd = {budget.usd:g}: what these devices cost is not known; give budget.usd_per_hour, or limit budget.hours")
    return Account(budget, usd_per_hour=price if budget is None or budget.usd_per_hour is None else budget.usd_per_hour)
