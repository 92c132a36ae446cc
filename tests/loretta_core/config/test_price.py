"""One function turns time into money: for plans, budgets and verdicts."""

import pytest

from loretta_core.config.price import price_usd


@pytest.mark.parametrize(
    ("workers", "gpus", "usd"),
    [(1, 0.0, 2.0), (4, 0.0, 8.0), (1, 0.25, 0.5), (2, 1.0, 4.0), (2, 4.0, 16.0)],
    ids=["a worker", "four workers", "a quarter of a GPU", "two GPUs", "two workers of four GPUs"],
)
def test_every_device_of_every_worker_is_paid_for(workers, gpus, usd):
    assert price_usd(3600, workers=workers, gpus=gpus, usd_per_hour=2.0) == usd


def test_without_a_time_or_a_price_there_is_no_price():
    assert price_usd(None, workers=1, gpus=0.0, usd_per_hour=2.0) is None
    assert price_usd(3600, workers=1, gpus=0.0, usd_per_hour=None) is None
