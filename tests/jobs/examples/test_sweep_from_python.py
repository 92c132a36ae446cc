"""The example of a sweep from Python, run as its docstring says, and its results read as the next example does."""

import os
import subprocess
import sys

import pytest

from jobs.examples.results_with_pandas import cells, curves
from tests.paths import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.ray]


def run(out, *, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "jobs.examples.sweep_from_python", str(out)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=400, check=False)


def test_it_runs_once_and_its_results_are_tables(tmp_path):
    first = run(tmp_path / "out", cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "0 of 2 cells finished" in first.stdout
    table = cells(tmp_path / "out", "ranks")
    assert set(table["method"]) == {"lora", "loretta_adp"}
    assert set(table["cell.trainer.lr"]) == {2e-3}
    assert len(curves(tmp_path / "out", list(table["cell_id"])).dropna(subset="train_loss")) == 40

    second = run(tmp_path / "out", cwd=tmp_path)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "2 of 2 cells finished" in second.stdout
