"""kill -9 of the whole Ray cluster of a sweep, half-way: the driver ends by itself, and the same command finishes."""

from collections import Counter
from contextlib import suppress

import psutil
import pytest

from jobs.tracking.mlflow_setup import connect, default_uri
from tests.jobs.head import stop_all, user_environment
from tests.jobs.test_sweep import LIMIT_S, place, run, start, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SEEDS = (0, *range(300, 308))
"""One that is over at once, and eight of 1.5 s each."""


@pytest.mark.parametrize("executor", ["inline", "train"])
def test_the_same_command_finishes(executor, tmp_path):
    here = place(tmp_path, *SEEDS)
    command = [*here.command, "--set", f"executor={executor}"]
    environment = user_environment(tmp_path, token=None)  # a Ray of the sweep's own: all its processes descend from the driver
    process = start(command, environment)
    try:
        wait_until(lambda: len(list(here.out.glob("cells/*/record.json"))) >= 2, process)
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        output, errors = process.communicate(timeout=LIMIT_S)
    finally:
        stop_all(process.pid)
    assert process.returncode != 0, output + errors
    finished = {seed: record for seed, record in here.records.items() if record.status == "finished"}
    assert 2 <= len(finished) < len(SEEDS)

    again = run(command, environment)
    assert again.code == 0, again.output + again.errors
    assert {record.status for record in here.records.values()} == {"finished"}
    assert {seed: here.records[seed] for seed in finished} == finished
    assert {seed: len(here.attempts(seed)) for seed in finished} == dict.fromkeys(finished, 1)
    client = connect(default_uri(here.out))
    runs = client.search_runs([client.get_experiment_by_name("synthetic").experiment_id], max_results=100)
    assert Counter(found.info.status for found in runs) == {"FINISHED": len(SEEDS) + 1}  # the cells, and the sweep
