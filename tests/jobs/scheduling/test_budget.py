"""The budget of one start of a sweep: cells, hours and money."""

import pytest

from jobs.scheduling.budget import open_account
from loretta_core.config.sweep.limits import Budget
from loretta_core.errors import ConfigError


def test_without_a_budget_everything_may_start():
    account = open_account(None, price=None)
    assert all(account.try_start() for _ in range(100))
    assert account.remark(0) == ""


def test_cells_are_counted_when_they_start():
    account = open_account(Budget(cells=2), price=None)
    assert [account.try_start() for _ in range(3)] == [True, True, False]
    assert account.remark(3) == "budget.cells = 2 is spent: 3 cells not begun; start the sweep again, or with a larger budget, to go on"


def test_hours_are_those_of_workers(cell):
    account = open_account(Budget(hours=1), price=None)
    account.charge(cell("engine.type=ddp", "engine.workers=2"), seconds=1700)
    assert account.try_start()
    account.charge(cell(), seconds=200)
    assert not account.try_start()
    assert account.spent == "budget.hours = 1 (1.00 hours of workers)"


@pytest.mark.parametrize(("budget", "price"), [(Budget(usd=3), 2.0), (Budget(usd=3, usd_per_hour=2), 99.0)])
def test_money_is_hours_times_the_price(budget, price, cell):
    account = open_account(budget, price=price)
    account.charge(cell(), seconds=3600)
    assert account.try_start()
    account.charge(cell(), seconds=1800)
    assert not account.try_start()
    assert "3.00 USD" in account.spent


def test_money_without_a_price_is_refused():
    with pytest.raises(ConfigError, match=r"give budget\.usd_per_hour"):
        open_account(Budget(usd=3), price=None)


def test_a_share_of_a_gpu_costs_its_share(cell):
    account = open_account(Budget(usd=1), price=2.0)
    account.charge(cell("engine.gpus=0.25"), seconds=3600)
    assert account.usd == 0.5
    assert account.try_start()
