"""Scores of the test rows that come later are those of a cell that was scored at once; until then nothing sees a test row."""

import json
from functools import partial

import pytest
import torch

from loretta_core.config import cell_from_overrides
from loretta_core.pack.lockstep import run_in_lockstep
from loretta_core.store.adapter_files import ADAPTER_NAME, adapter_digest
from loretta_core.store.record_files import read_record
from loretta_core.tasks.base import Example
from loretta_core.tasks.build import load_data
from loretta_core.train import build
from loretta_core.train.pack_context import PackInfo
from loretta_core.train.replay_step import restore_step
from loretta_core.train.reporting.late_scoring import TRAINED_NAME, score_test_rows
from loretta_core.train.run import run_cell
from tests.loretta_core.train.group import run_workers

pytestmark = pytest.mark.integration

SMALL = ["model=toy-bert", "task=toy_sentiment", "task.train_rows=32", "task.validation_rows=20", "task.test_rows=30"]
STEPS = ["trainer.steps=4", "trainer.eval_every=2"]
ADAM, ZO = ["trainer=adam", "trainer.lr=3e-3", *STEPS], ["trainer=zo_sgd", "trainer.lr=1e-2", "trainer.zo_eps=1e-2", *STEPS]
KINDS = {
    "loretta_adp": ["method=loretta_adp", *ADAM],
    "loretta_rep": ["method=loretta_rep", *ADAM],
    "lora bf16": ["method=lora", *ADAM, "precision=bf16"],
    "lora zeroth order": ["method=lora", *ZO],
    "adapters head": ["method=adapters", *ADAM, "task.objective=head"],
    "bitfit bf16 head": ["method=bitfit", *ADAM, "task.objective=head", "precision=bf16"],
    "ft": ["method=ft", *ADAM, "trainer.lr=1e-4"],
    "ft bf16": ["method=ft", *ADAM, "trainer.lr=1e-4", "precision=bf16"],
    "ft mixed": ["method=ft", *ADAM, "trainer.lr=1e-4", "precision=mixed"],
    "ft bf16 zeroth order": ["method=ft", *ZO, "trainer.lr=1e-4", "precision=bf16"],
    "prompt": ["method=prompt", *ADAM],
    "prefix": ["method=prefix", *ADAM],
    "ptune": ["method=ptune", *ADAM],
    "zero-shot": ["method=lora", "trainer=none"],
    "decoder": ["model=toy-llama", "task=toy_entailment", "task.train_rows=32", "task.validation_rows=20", "task.test_rows=30", "method=lora", *ADAM],
    "written": ["model=toy-llama", "task=toy_qa", "task.train_rows=32", "task.validation_rows=20", "task.test_rows=30", "method=lora", *ADAM],
    "demonstrations": ["model=toy-llama", "task=toy_entailment", "task.train_rows=32", "task.test_rows=30", "method=lora", "trainer=icl"],
}
QUICK = ("loretta_adp", "adapters head", "ft bf16 zeroth order", "prefix", "written")
"""Kinds that every run of the tests compares; the others are slow."""


def made(settings, **changed):
    return cell_from_overrides([*SMALL, *settings]).model_copy(update=changed)


def same_but_for_the_clock(one, other):
    for name in ("cell_id", "cell", "status", "score", "zeroth_order", "curves", "adapter", "warnings"):
        assert getattr(one, name) == getattr(other, name), name
    # Not that of the files: safetensors writes the metadata of a whole model's tied weights in another order each time.
    assert one.digests.model_copy(update={"adapter": None}) == other.digests.model_copy(update={"adapter": None})
    return True


@pytest.mark.parametrize("kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS])
def test_scores_that_come_later_are_bit_for_bit_those_that_come_at_once(kind, tmp_path):
    at_once = run_cell(made(KINDS[kind]), directory=tmp_path / "at once")
    trial = run_cell(made(KINDS[kind], score_test=False), directory=tmp_path / "later")
    assert (trial.score.value, trial.score.rows, trial.score.initial, trial.digests.predictions) == (None, None, None, None)
    assert (trial.curves, trial.score.validation, trial.score.validation_loss) == (at_once.curves, at_once.score.validation, at_once.score.validation_loss)
    assert not (tmp_path / "later" / "predictions.json").exists()

    torch.manual_seed(99)
    later = run_cell(made(KINDS[kind]), directory=tmp_path / "later", stop=lambda step: AssertionError("it trains"))
    assert later == read_record(tmp_path / "later")
    assert same_but_for_the_clock(later, at_once)
    assert (tmp_path / "later" / "predictions.json").read_bytes() == (tmp_path / "at once" / "predictions.json").read_bytes()
    assert later.cost == trial.cost
    assert later.digests.adapter == trial.digests.adapter == adapter_digest(tmp_path / "later" / ADAPTER_NAME)
    assert later.cell["method"]["type"] == "ft" or later.digests.adapter == at_once.digests.adapter
    assert not (tmp_path / "later" / TRAINED_NAME).exists()


class OutOfSight:
    """Rows that nobody may look at."""

    def __getattribute__(self, name):
        raise AssertionError(f"a test row was touched: {name}")

    def __len__(self):
        raise AssertionError("test rows were counted")

    def __iter__(self):
        raise AssertionError("test rows were read")

    def __getitem__(self, index):
        raise AssertionError("a test row was read")


@pytest.fixture
def hidden_test_rows(monkeypatch):
    def hidden(task):
        data = load_data(task)
        object.__setattr__(data, "test", OutOfSight())
        return data

    monkeypatch.setattr(build, "load_data_once", hidden)


@pytest.mark.parametrize("kind", ["loretta_adp", "lora zeroth order", "ft", "decoder", "written", "demonstrations"])
def test_no_code_path_of_a_trial_touches_a_test_row(kind, tmp_path, hidden_test_rows):
    cell = made(KINDS[kind], score_test=False)
    directory = tmp_path / "cells" / "trial"
    record = run_cell(cell, directory=directory)
    assert record.status == "finished"
    assert (record.score.value, record.score.scored_on, record.score.majority) == (None, None, None)
    assert record.score.validation is not None
    if kind == "lora zeroth order":
        assert restore_step(directory, step=None, to=tmp_path / "again")[1] == record.digests.weights
    with pytest.raises(Exception, match=r"OutOfSight|test row"):  # as soon as the cell is to be scored, it looks
        run_cell(cell.model_copy(update={"score_test": True}), directory=directory)


def test_the_final_numbers_of_a_trial_have_no_test_score(tmp_path):
    run_cell(made(KINDS["lora zeroth order"], score_test=False), directory=tmp_path)
    run_cell(made(KINDS["lora zeroth order"]), directory=tmp_path)
    finals = [line for line in map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines()) if "status" in line]
    assert [("score" in line, "initial_score" in line, "best_validation_score" in line) for line in finals] == [(False, False, True), (True, True, True)]


def in_pack(cells, directory, pack_id):
    """Compute cells in one pack, each in a directory of its seed and learning rate."""
    functions = [partial(_in_pack, cell, directory / f"{cell.seed} {cell.trainer.lr:g}") for cell in cells]
    return run_in_lockstep(functions, pack_info=PackInfo(pack_id=pack_id, cells=len(cells)))


def _in_pack(cell, directory, pack_context):
    return run_cell(cell, directory=directory, pack_context=pack_context)


@pytest.mark.slow
def test_both_kinds_share_a_pack(tmp_path):
    cells = [made([*KINDS["loretta_adp"], f"trainer.lr={lr}"]) for lr in ("1e-3", "3e-3", "1e-2")]
    at_once = in_pack(cells, tmp_path / "at once", "a")
    mixed = in_pack([cells[0], cells[1].model_copy(update={"score_test": False}), cells[2]], tmp_path / "mixed", "a")
    assert [record.score.value is None for record in mixed] == [False, True, False]
    assert all(same_but_for_the_clock(mixed[index], at_once[index]) for index in (0, 2))
    assert mixed[1].curves == at_once[1].curves
    _, later, _ = in_pack([cells[0].model_copy(update={"seed": 5}), cells[1], cells[2].model_copy(update={"seed": 6})], tmp_path / "mixed", "b")
    assert later.pack.pack_id == "a"
    assert same_but_for_the_clock(later, at_once[1])


def test_a_trial_that_is_scored_keeps_its_replay_log(tmp_path):
    run_cell(made(KINDS["lora zeroth order"], score_test=False), directory=tmp_path)
    log = (tmp_path / "replay.zolog").read_bytes()
    run_cell(made(KINDS["lora zeroth order"]), directory=tmp_path)
    assert (tmp_path / "replay.zolog").read_bytes() == log


@pytest.mark.parametrize("kind", ["loretta_adp", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("lora zeroth order", "ptune"))])
def test_damaged_weights_are_trained_again(kind, tmp_path, caplog):
    trial = run_cell(made(KINDS[kind], score_test=False), directory=tmp_path)
    (path,) = [tmp_path / TRAINED_NAME] if kind == "ptune" else (tmp_path / "adapter").glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100] if kind != "lora zeroth order" else path.read_bytes()[:-100] + b"@" * 100)
    assert score_test_rows(made(KINDS[kind]), directory=tmp_path) is None
    assert "the cell is trained again" in caplog.text
    record = run_cell(made(KINDS[kind]), directory=tmp_path)
    assert record.curves == trial.curves
    assert record.score.value is not None
    assert record.started_at is not None


def test_data_that_have_changed_are_trained_on_again(tmp_path):
    for split, rows in (("train", 40), ("validation", 20), ("test", 20)):
        _write_rows(tmp_path / f"{split}.jsonl", rows)
    files = [f"task.{split}={tmp_path / split}.jsonl" for split in ("train", "validation", "test")]
    cell = cell_from_overrides(["model=toy-bert", "task=jsonl", *files, "method=lora", *ADAM])
    run_cell(cell.model_copy(update={"score_test": False}), directory=tmp_path / "cell")
    assert score_test_rows(cell, directory=tmp_path / "cell") is not None
    run_cell(cell.model_copy(update={"score_test": False}), directory=tmp_path / "other")
    _write_rows(tmp_path / "train.jsonl", 30)
    assert score_test_rows(cell, directory=tmp_path / "other") is None


def _write_rows(path, rows):
    path.write_text("\n".join(json.dumps({"text": f"the plot was {'dull' if n % 2 else 'charming'} {path.stem} {n} .", "label": n % 2}) for n in range(rows)))


def test_a_cell_that_is_scored_or_has_no_record_is_trained(tmp_path):
    cell = made(KINDS["loretta_adp"])
    assert score_test_rows(cell, directory=tmp_path) is None
    run_cell(cell, directory=tmp_path)
    assert score_test_rows(cell, directory=tmp_path) is None
    assert score_test_rows(made([*KINDS["loretta_adp"], "seed=1"]), directory=tmp_path) is None


ENGINES = {
    "ddp": ["method=lora", *ADAM, "engine.type=ddp", "engine.workers=2"],
    "zero-2 ft": ["method=ft", *ADAM, "trainer.lr=1e-4", "engine.type=zero", "engine.stage=2", "engine.workers=2"],
    "zero-3 lora": ["method=lora", *ADAM, "engine.type=zero", "engine.stage=3", "engine.workers=2"],
}


def _on_workers(rank, kind, root):
    at_once = run_cell(made(ENGINES[kind]), directory=root / "at once")
    run_cell(made(ENGINES[kind], score_test=False), directory=root / "later")
    return at_once, score_test_rows(made(ENGINES[kind]), directory=root / "later", workers=build.Workers(rank, 2))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ENGINES)
def test_several_workers_score_together(kind, tmp_path):
    for at_once, later in run_workers(_on_workers, 2, kind, tmp_path, timeout_s=400):
        assert later.score == at_once.score
        assert later.digests.model_copy(update={"adapter": None}) == at_once.digests.model_copy(update={"adapter": None})


def test_an_example_of_a_trial_is_one_of_training_or_validation(tmp_path):
    run = build.build_run(made(KINDS["loretta_adp"], score_test=False))
    assert run.examples.keys() == {"train", "validation"}
    assert all(isinstance(example, Example) for examples in run.examples.values() for example in examples)
