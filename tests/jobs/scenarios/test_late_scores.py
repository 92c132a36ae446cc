"""A sweep that wants the test scores of cells which others only tried: a worker adds them, and nothing is trained again."""

import json
import sys

import pytest

from loretta_core.config import load_sweep
from loretta_core.store.layout import cell_directory
from loretta_core.store.output_dir import check_output_dir
from loretta_core.store.record_files import read_record
from loretta_core.train.run import run_cell
from tests.jobs.test_sweep import run, shared

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SWEEP = """
[defaults]
model = "toy-bert"
task = {type = "toy_sentiment", train_rows = 32, validation_rows = 16, test_rows = 20}
method = "lora"
trainer = {type = "adam", steps = 4, eval_every = 2}
[axes]
seed = [0, 1]
"""


def test_a_trained_cell_is_scored_by_a_worker(tmp_path, head):
    file, out = tmp_path / "late.toml", tmp_path / "out"
    file.write_text(SWEEP)
    check_output_dir(out)
    tried, new = load_sweep(file).cells
    trial = run_cell(tried.model_copy(update={"score_test": False}), directory=cell_directory(out, tried.cell_id))
    ran = run([sys.executable, "-m", "jobs.sweep", str(file), "--out", str(out)], shared(head))
    assert ran.code == 0, ran.output + ran.errors
    assert "0 of 2 cells finished, 2 to run" in ran.output
    assert "1 cell already trained: only the test rows are scored" in ran.output
    record = read_record(cell_directory(out, tried.cell_id))
    assert (record.curves, record.started_at, record.cost) == (trial.curves, trial.started_at, trial.cost)
    assert record.score == run_cell(tried, directory=tmp_path / "alone").score
    lines = [json.loads(line) for line in (cell_directory(out, tried.cell_id) / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train_loss" in line] == [1, 2, 3, 4]
    assert read_record(cell_directory(out, new.cell_id)).score.value is not None
