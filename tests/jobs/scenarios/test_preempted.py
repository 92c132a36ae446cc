"""SIGTERM to the process that computes, half-way: it saves at the next step, and another process goes on from there to the result of an undisturbed run."""

import json
import sys
from contextlib import contextmanager

import pytest
import torch

from loretta_core.config import load_sweep
from loretta_core.store.record_files import find_records
from loretta_core.train.run import run_cell
from tests.jobs.head import stop_all
from tests.jobs.scenarios.test_chaos import victims
from tests.jobs.test_sweep import LIMIT_S, shared, start, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1800)]

STEPS = 600
SWEEP = f"""
[defaults]
model = "toy-bert"
task = {{ type = "toy_sentiment", train_rows = 64, validation_rows = 40, test_rows = 70 }}
trainer = {{ type = "adam", steps = {STEPS}, eval_every = {STEPS} }}
[axes]
method = ["lora"]
"""
"""Without the signal nothing is saved before the last step."""

COMPUTES = {"train": "ray::CellWorker", "inline": "ray::"}


def steps_in(journal):
    lines = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    return [line["step"] for line in lines if "train_loss" in line]


@contextmanager
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("executor", ["train", "inline"])
def test_a_cell_goes_on_from_the_step_at_which_it_was_told(executor, tmp_path, head):
    file, out = tmp_path / "preempted.toml", tmp_path / "out"
    file.write_text(SWEEP)
    (cell,) = load_sweep(file).cells
    journal = out / "cells" / cell.cell_id / "metrics.jsonl"
    command = [sys.executable, "-m", "jobs.sweep", str(file), "--out", str(out), "--set", f"executor={executor}"]
    process = start(command, shared(head))
    try:
        for at in (50, 150, 250):  # more often than a cell may lose its process, or a group may die for nothing
            wait_until(lambda at=at: len(steps_in(journal)) >= at, process)
            (victim,) = [each for each in victims(head) if each.cmdline()[0].startswith(COMPUTES[executor])]
            victim.terminate()
            wait_until(lambda victim=victim: not victim.is_running(), process)
        output, errors = process.communicate(timeout=LIMIT_S)
    finally:
        stop_all(process.pid)
    assert process.returncode == 0, output + errors
    assert steps_in(journal) == list(range(1, STEPS + 1))  # nothing was done again
    ends = [json.loads(line) for line in journal.read_text().splitlines() if "status" in line]
    assert [line["status"] for line in ends] == ["failed"] * 3 + ["finished"]
    with one_thread():
        alone = run_cell(cell, directory=tmp_path / "alone")
    (record,) = find_records(out).records.values()
    for name in ("curves", "score", "digests"):
        assert getattr(record, name) == getattr(alone, name), name
    if executor == "train":
        assert output.count("is lost (its machine is being taken away); it starts anew when a cell waits for it") == 3
