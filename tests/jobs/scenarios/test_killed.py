"""kill -9 of one of two workers half-way: the group starts anew, the cell goes on from its checkpoint and ends as if nothing had happened."""

import subprocess
import sys

import pytest

from loretta_core.config import load_sweep
from loretta_core.config.engine import Plain
from loretta_core.store.record_files import find_records
from loretta_core.train.run import run_cell
from tests.jobs.head import stop_all
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SWEEP = """
[defaults]
model = "toy-bert"
task = { type = "toy_sentiment", train_rows = 64, validation_rows = 40, test_rows = 70 }
trainer = { type = "adam", steps = 20, eval_every = 5 }
[[include]]
method = "lora"
engine = "ddp"
[[include]]
method = "ft"
engine = { type = "zero", stage = 3 }
"""


def test_the_group_starts_anew_and_the_cell_goes_on(head, tmp_path):
    file = tmp_path / "killed.toml"
    file.write_text(SWEEP)
    command = [sys.executable, "-m", "tests.jobs.killed", str(file), "--out", str(tmp_path / "out")]
    environment = {**head.environment, "RAY_ADDRESS": head.address}
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        output, errors = process.communicate(timeout=900)
    finally:
        stop_all(process.pid)
    assert process.returncode == 0, output + errors
    assert "it starts anew" in output + errors
    records = find_records(tmp_path / "out").records
    for cell in load_sweep(file).cells:
        assert (tmp_path / "out" / "cells" / cell.cell_id / "was-killed").exists()
        alone = run_cell(cell.model_copy(update={"engine": Plain(type="plain")}), directory=tmp_path / cell.cell_id)
        expected, found = ([value for _, value in record.curves["train_loss"]] for record in (alone, records[cell.cell_id]))
        assert found == pytest.approx(expected, abs=1e-4)
        assert records[cell.cell_id].score.value == pytest.approx(alone.score.value, abs=0.03)
