"""What a start of a sweep may spend."""

import pytest

from jobs.scheduling.budget import account
from loretta_core.config.sweep.limits import Budget
from loretta_core.errors import ConfigError


def test_without_a_budget_everything_may_begin():
    purse = account(None, price=None)
    assert all(purse.may_begin() for _ in range(100))
    assert purse.remark(0) == ""


def test_cells_are_counted_when_they_begin():
    purse = account(Budget(cells=2), price=None)
    assert [purse.may_begin() for _ in range(3)] == [True, True, False]
    assert purse.remark(3) == "budget.cells = 2 is spent: 3 cells not begun; start the sweep again, or with a larger budget, to go on"


def test_hours_are_those_of_workers(cell):
    purse = account(Budget(hours=1), price=None)
    purse.charge(cell("engine.type=ddp", "engine.workers=2"), seconds=1700)
    assert purse.may_begin()
    purse.charge(cell(), seconds=200)
    assert not purse.may_begin()
    assert purse.spent == "budget.hours = 1 (1.00 hours of workers)"


@pytest.mark.parametrize(("budget", "price"), [(Budget(usd=3), 2.0), (Budget(usd=3, usd_per_hour=2), 99.0)])
def test_money_is_hours_times_the_price(budget, price, cell):
    purse = account(budget, price=price)
    purse.charge(cell(), seconds=3600)
    assert purse.may_begin()
    purse.charge(cell(), seconds=1800)
    assert not purse.may_begin()
    assert "3.00 USD" in purse.spent


def test_money_without_a_price_is_refused():
    with pytest.raises(ConfigError, match=r"give budget\.usd_per_hour"):
        account(Budget(usd=3), price=None)


def test_a_share_of_a_gpu_costs_its_share(cell):
    purse = account(Budget(usd=1), price=2.0)
    purse.charge(cell("engine.gpus=0.25"), seconds=3600)
    assert purse.device_hours == 0.25
    assert purse.may_begin()
