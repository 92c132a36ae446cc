"""The executor `inline`: retries inside its process, and whole sweeps that end as with `train`."""

import os

import pytest

from jobs.execution.inline_executor import with_retries
from jobs.failures.outcome import Outcome
from loretta_core.config import CellConfig, load_sweep
from loretta_core.errors import ConfigError
from loretta_core.store.record_files import find_records
from tests.jobs.synthetic import BROKEN_SEED, FAILING_SEED, HUNGRY_SEED, KILLED_ONCE_SEED, KILLER_SEED
from tests.jobs.test_sweep import Place, place, run, shared

TROUBLES = (0, FAILING_SEED, KILLER_SEED, BROKEN_SEED, KILLED_ONCE_SEED, HUNGRY_SEED, 1)
REAL = """
executor = "inline"
[defaults]
model = "toy-bert"
task = { type = "toy_sentiment", train_rows = 32, validation_rows = 20, test_rows = 30 }
[axes]
method = ["lora", "loretta_adp"]
trainer = [{ type = "adam", steps = 3, eval_every = 3 }, { type = "zo_sgd", steps = 3, eval_every = 3 }]
"""


def test_a_cell_that_does_not_fit_is_tried_in_smaller_pieces_in_the_same_process(cell):
    pieces = []

    def attempt(cell_json):
        pieces.append(CellConfig.from_json(cell_json).engine.gradient_accumulation)
        return Outcome("c", "failed", kind="memory") if pieces[-1] < 4 else Outcome("c", "finished")

    outcome = with_retries(cell("batch_size=16"), attempt)
    assert (outcome.status, pieces) == ("finished", [1, 2, 4])
    assert outcome.message == "after running out of memory: in 4 times as many pieces"


@pytest.mark.parametrize("kind", ["nan", "config", "error"])
def test_what_would_come_out_the_same_is_not_tried_again(kind, cell):
    attempts = []
    outcome = with_retries(cell(), lambda cell_json: attempts.append(1) or Outcome("c", "failed", kind=kind))
    assert (outcome.kind, len(attempts)) == (kind, 1)


def test_a_cell_of_several_workers_is_refused(tmp_path):
    file = tmp_path / "several.toml"
    file.write_text(REAL)
    with pytest.raises(ConfigError, match=r'executor = "inline" computes a cell in one process, and .* has engine = {type = "ddp", workers = 2}; use executor'):
        load_sweep(file, overrides=["engine=ddp"])


def test_the_executor_is_no_part_of_a_cell(tmp_path):
    file = tmp_path / "same.toml"
    file.write_text(REAL)
    inline, train = load_sweep(file), load_sweep(file, overrides=["executor=train"])
    assert [cell.cell_id for cell in inline.cells] == [cell.cell_id for cell in train.cells]


@pytest.mark.slow
@pytest.mark.ray
def test_troubles_end_as_in_worker_groups(tmp_path, head):
    here = place(tmp_path, *TROUBLES)
    ran = run([*here.command, "--set", "executor=inline"], shared(head))
    assert ran.code == 1, ran.errors
    assert "Traceback" not in ran.errors
    died = "the worker process died while it computed this cell, 2 times: a worker process ended unexpectedly: killed, out of memory, or crashed"
    reasons = {seed: record.error and (record.error.kind, record.error.message) for seed, record in here.records.items()}
    fine = dict.fromkeys((0, 1, KILLED_ONCE_SEED, HUNGRY_SEED))
    assert reasons == fine | {
        FAILING_SEED: ("nan", "the loss is nan at step 3"),
        BROKEN_SEED: ("error", "KeyError: 'a bug'"),
        KILLER_SEED: ("infrastructure", died),
    }
    assert {seed: len(here.attempts(seed)) for seed in TROUBLES} == dict.fromkeys(TROUBLES, 1) | {KILLED_ONCE_SEED: 2, KILLER_SEED: 2, HUNGRY_SEED: 2}
    assert "7 cells on 2 trial workers (1 worker with 1 CPU each)" in ran.output
    processes = {pid for seed in TROUBLES for pid, _ in here.attempts(seed)}
    assert len(processes) <= 2 + 3  # two trials, and a new process after each of three deaths


@pytest.mark.slow
@pytest.mark.ray
def test_both_executors_give_equal_results(tmp_path, head):
    file = tmp_path / "real.toml"
    file.write_text(REAL)
    found = {}
    for executor in ("inline", "train"):
        out = tmp_path / executor
        command = [*Place(file, out).command, "--set", f"executor={executor}"]
        command[2] = "jobs.sweep"
        ran = run(command, {**shared(head), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")})
        assert ran.code == 0, ran.errors
        found[executor] = {cell_id: (record.curves, record.score, record.digests) for cell_id, record in find_records(out).records.items()}
    assert len(found["train"]) == 4
    assert found["inline"] == found["train"]  # bitwise: losses, scores, predictions
