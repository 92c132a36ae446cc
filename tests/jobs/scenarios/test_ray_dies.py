"""kill -9 of the raylet or the GCS of a sweep's own Ray, while it starts and while cells are computed.

The driver says it in one line, ends with exit code 3 and leaves nothing, and the same command finishes.
"""

import time

import psutil
import pytest

from tests.jobs.head import stop_all, user_environment
from tests.jobs.scenarios.test_storm import check_farewell, children
from tests.jobs.test_sweep import place, run, start, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SEEDS = (0, 300, 301)
"""One that is over at once, and two of 1.5 s."""


@pytest.mark.parametrize("executor", ["inline", "train"])
@pytest.mark.parametrize("moment", ["start", "cells"])
@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
def test_the_sweep_ends_with_one_line_and_the_same_command_finishes(victim, moment, executor, tmp_path):
    here = place(tmp_path, *SEEDS)
    command = [*here.command, "--set", f"executor={executor}"]
    environment = user_environment(tmp_path, token=None)
    driver = start(command, environment)
    try:
        wait_until(lambda: victims(driver.pid, victim) and (moment == "start" or list(here.out.glob("cells/*/attempts.txt"))), driver)
        family = children(driver.pid, lambda process: True)
        victims(driver.pid, victim)[0].kill()
        killed = time.monotonic()
        output, errors = driver.communicate(timeout=60)
        check_farewell(driver, output, errors, family=family, took_s=time.monotonic() - killed)
    finally:
        stop_all(driver.pid)
    again = run(command, environment)
    assert again.code == 0, again.output + again.errors
    assert {record.status for record in here.records.values()} == {"finished"}


def victims(pid: int, name: str) -> list[psutil.Process]:
    return children(pid, lambda process: process.name() == name)
