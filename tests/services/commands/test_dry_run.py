"""The dry run: cells with status and trainable parameters, and cells that cannot run with the reason."""

import json

from loretta_core.config import load_sweep
from loretta_core.store.early_stops import EarlyStop, write_early_stop
from loretta_core.store.record_files import write_record
from services.commands.dry_run import dry_run
from tests.jobs.synthetic import finished_record

SWEEP = """
[defaults]
model = "toy-bert"
task = "toy_sentiment"
trainer = "adam"
[axes]
method = ["lora", "prompt", {type = "peft", peft_type = "VERA"}]
"""
ALBERT = {"model_type": "albert", "hidden_size": 32, "embedding_size": 16, "num_hidden_layers": 2, "intermediate_size": 48, "vocab_size": 40}


def test_predicted_parameters_are_shown(tmp_path):
    (tmp_path / "sweep.toml").write_text(SWEEP)
    sweep = load_sweep(tmp_path / "sweep.toml")
    lines = dry_run(sweep, out=tmp_path / "out", as_json=False).splitlines()
    assert lines[0].split()[-2:] == ["trainable", "parameters"]
    assert [line.split()[-1] for line in lines[2:5]] == ["16,384", "2,560", "–"]  # r = 8 at 8 layers of 128 x 128; 20 x 128; not predicted
    cells = json.loads(dry_run(sweep, out=tmp_path / "out", as_json=True))["cells"]
    assert [cell["trainable_params"] for cell in cells] == [16_384, 2_560, None]


def test_what_cannot_run_is_said_before_anything_starts(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(ALBERT))
    (tmp_path / "sweep.toml").write_text(SWEEP.replace("toy-bert", str(tmp_path / "model")))
    text = dry_run(load_sweep(tmp_path / "sweep.toml"), out=tmp_path / "out", as_json=False)
    assert text.count("cannot run  ") == 1
    assert "cannot run: prompt does not work on albert: its word embeddings are narrower" in text


def test_cells_that_the_sweep_stopped_early_and_its_budget_are_shown(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text(SWEEP)
    stopping = load_sweep(file, overrides=["name=small", "early_stopping.keep=3", "budget.hours=2"])
    write_early_stop(EarlyStop(cell_id=stopping.cells[0].cell_id, reason="others did better", stopped_at="now"), tmp_path / "out", name="small")
    (tmp_path / "out" / "FORMAT.json").write_text('{"format": 1}')
    text = dry_run(stopping, out=tmp_path / "out", as_json=False)
    assert "3 cells: 0 finished, 1 stopped early, 2 to run" in text
    assert "budget of one start: hours = 2" in text
    write_record(finished_record(stopping.cells[1].model_copy(update={"score_test": False})), tmp_path / "out" / "cells" / stopping.cells[1].cell_id)
    text = dry_run(stopping, out=tmp_path / "out", as_json=False)
    assert "2 to run, 1 of them trained already: only the test rows are scored. Output" in text
    assert "stopped early" not in dry_run(load_sweep(file, overrides=["name=small"]), out=tmp_path / "out", as_json=False)  # without the rule it runs on
