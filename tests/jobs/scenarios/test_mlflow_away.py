"""The MLflow server dies while a cell trains and is back half a minute later: training goes on, and in the end every point is there once, in order."""

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress

import pytest

from jobs.tracking.mlflow_setup import connect
from jobs.tracking.mlflow_sink import CELL_TAG
from tests.jobs.head import free_ports, stop_all
from tests.jobs.synthetic import LASTING, STEADY_SEED
from tests.jobs.test_sweep import LIMIT_S, ROOT, place, run, shared, start, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.ray]

AWAY_S = 30.0


def serve(port: int, directory) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "services.cli", "serve", "--port", "0", "--mlflow-port", str(port), "--out", str(directory)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, text=True, env=dict(os.environ), start_new_session=True)
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return process
        time.sleep(0.5)
    raise TimeoutError("no MLflow after 180 s")


def test_no_point_is_lost_and_none_comes_twice(tmp_path, head):
    (port,) = free_ports(1)
    here = place(tmp_path, STEADY_SEED)
    journal = here.out / "cells" / here.cells[STEADY_SEED].cell_id / "metrics.jsonl"
    server = serve(port, tmp_path / "server")
    environment = {**shared(head), "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    sweep = start([*here.command, "--set", "executor=inline"], environment)
    try:
        wait_until(lambda: journal.is_file() and len(journal.read_text().splitlines()) > 200, sweep)  # ten seconds: some has been sent
        stop_all(server.pid)
        server.wait()
        before = len(journal.read_text().splitlines())
        time.sleep(AWAY_S)
        assert len(journal.read_text().splitlines()) > before + 200  # training went on
        server = serve(port, tmp_path / "server")
        output, errors = sweep.communicate(timeout=LIMIT_S)
        assert sweep.returncode == 0, output + errors
        again = run([*here.command, "--set", "executor=inline"], environment)  # a slow machine: the cell was over before the server was back
        assert again.code == 0, again.output + again.errors
        assert len(here.attempts(STEADY_SEED)) == 1
        client = connect(f"http://127.0.0.1:{port}")
        (found,) = client.search_runs([client.get_experiment_by_name("synthetic").experiment_id], filter_string=f"tags.{CELL_TAG} != ''")
        steps = [point.step for point in client.get_metric_history(found.info.run_id, "train_loss")]
        assert found.info.status == "FINISHED"
        assert sorted(steps) == sorted({*steps})
        assert len(steps) == round(20 * LASTING[STEADY_SEED])
        assert steps == sorted(steps)
    finally:
        stop_all(sweep.pid)
        sweep.communicate()
        stop_all(server.pid)
        server.wait()
