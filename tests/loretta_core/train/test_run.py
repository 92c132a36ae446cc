"""run_cell: one cell from config to record, in this process, on the shipped model."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file

from loretta_core.config import FAMILIES, cell_from_overrides
from loretta_core.config.trainer import FirstOrderTrainer
from loretta_core.errors import OutputError
from loretta_core.store.adapter_files import adapter_digest, check_adapter
from loretta_core.store.predictions import find_predictions
from loretta_core.store.record_files import read_record, write_record
from loretta_core.store.records import Digests
from loretta_core.tasks.data.toy import TEMPLATE, generate_sentiment
from loretta_core.train.replay_step import restore_step
from loretta_core.train.run import run_cell
from loretta_core.zo.replay_log import read_log

pytestmark = pytest.mark.integration

SMALL = ["model=toy-bert", "task=toy_sentiment", "task.train_rows=64", "task.validation_rows=40", "task.test_rows=50"]
QUICK = ("ft", "lora", "loretta_adp", "loretta_rep", "prefix")
"""Methods whose cells every run of the tests trains; those of the others are slow, and their laws quick (`tests/laws`)."""


def quick_or_slow(method, *values):
    return pytest.param(method, *values, marks=() if method in QUICK else pytest.mark.slow)


METHODS = [*sorted(FAMILIES["method"].keys() - {"peft"}), '{type="peft",peft_type="VERA",r=4,target_modules=["query","value"]}']
SAME_AT_START = [quick_or_slow(name) for name in METHODS if name not in ("prompt", "prefix", "ptune")]
FORWARDS = {"fzoo": 9, "es": 30, "eggroll": 8, "hizoo": 3, "zo_muon": 5}
TRAINERS = sorted(FAMILIES["trainer"].keys() - {"adam", "zo_sgd", "none", "icl"})


@pytest.mark.parametrize(("method", "trainer"), [*(quick_or_slow(m, t) for m in METHODS for t in ("adam", "zo_sgd")), *(("lora", t) for t in TRAINERS)])
def test_methods_and_trainers(method, trainer, tmp_path):
    cell = cell_from_overrides([*SMALL, f"method={method}", f"trainer={trainer}", "trainer.steps=4", "trainer.eval_every=2"])
    if isinstance(cell.trainer, FirstOrderTrainer) and cell.trainer.needs_bitsandbytes:
        pytest.importorskip("bitsandbytes", reason="needs bitsandbytes: pip install -c constraints.txt -e '.[quantized]'")
    record = run_cell(cell, directory=tmp_path)
    assert record == read_record(tmp_path)
    assert record.status == "finished"
    assert record.score.low < record.score.value <= record.score.high
    assert record.score.rows == 50
    assert [step for step, _ in record.curves["validation_score"]] == [0, 2, 4]
    assert record.cost.forwards == 4 * (FORWARDS.get(trainer, 2) if cell.trainer.zeroth_order else 1)
    assert 0 < record.cost.trainable_params <= record.cost.total_params
    check_adapter(tmp_path / "adapter", digest=record.digests.adapter)  # its weights are whole
    assert record.digests.adapter == adapter_digest(tmp_path / "adapter")
    assert not list(tmp_path.rglob("*.bin"))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["status"] == "finished"
    assert lines[-1]["score"] == record.score.value


@pytest.mark.parametrize("method", SAME_AT_START)
def test_the_score_before_training_is_the_same_for_every_method(method, tmp_path):
    cell = cell_from_overrides([*SMALL, f"method={method}", "trainer=adam", "trainer.steps=1"])
    lora = cell_from_overrides([*SMALL, "method=lora", "trainer=adam", "trainer.steps=1"])
    assert run_cell(cell, directory=tmp_path / "a").score.initial == run_cell(lora, directory=tmp_path / "b").score.initial


@pytest.mark.parametrize("trainer", ["adam", "zo_sgd", pytest.param("zo_adam", marks=pytest.mark.slow)])
def test_a_cell_repeats_bitwise(trainer, tmp_path):
    cell = cell_from_overrides([*SMALL, "method=loretta_adp", f"trainer={trainer}", "trainer.steps=5"])
    first, second = (run_cell(cell, directory=tmp_path / name) for name in "ab")
    assert first.curves == second.curves


@pytest.mark.parametrize("method", [quick_or_slow(name) for name in METHODS])
def test_a_fresh_head_trains_on_a_bf16_base(method, tmp_path):
    cell = cell_from_overrides([*SMALL, "task.objective=head", f"method={method}", "trainer=adam", "trainer.steps=3", "precision=bf16"])
    assert run_cell(cell, directory=tmp_path).status == "finished"


def test_accumulation_gives_the_same_curve(tmp_path):
    base = [*SMALL, "method=lora", "trainer=adam", "trainer.steps=5"]
    whole = run_cell(cell_from_overrides(base), directory=tmp_path / "a")
    pieces = run_cell(cell_from_overrides([*base, "engine.gradient_accumulation=4"]), directory=tmp_path / "b")
    losses = [[value for _, value in record.curves["train_loss"]] for record in (whole, pieces)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


@pytest.mark.parametrize(
    "trainer", ["zo_sgd", "zo_adam", "adazeta", "hizoo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("lozo", "subzero", "conmezo", "zo_muon"))]
)
def test_any_step_of_a_zeroth_order_cell_comes_back(trainer, tmp_path):
    settings = [*SMALL, "method=lora", f"trainer={trainer}", "trainer.lr=1e-2", "trainer.zo_eps=1e-2", "trainer.steps=12", "trainer.eval_every=4"]
    directory = tmp_path / "cells" / "a1"
    record = run_cell(cell_from_overrides(settings), directory=directory)
    step, digest = restore_step(directory, step=None, to=tmp_path / "best")
    assert (step, digest) == (record.score.best_step, record.digests.weights)
    saved, again = (load_file(where / "adapter_model.safetensors") for where in (directory / "adapter", tmp_path / "best" / "adapter"))
    assert all(torch.equal(saved[name], again[name]) for name in saved)
    assert restore_step(directory, step=0, to=tmp_path / "start")[1] != restore_step(directory, step=12, to=tmp_path / "end")[1]
    with pytest.raises(OutputError, match="the log holds 12 steps, step 13 was asked for"):
        restore_step(directory, step=13, to=tmp_path / "beyond")


@pytest.mark.parametrize("trainer", ["zo_sgd", "zo_adam"])
def test_full_fine_tuning_in_bf16_streams_and_comes_back(trainer, tmp_path):
    settings = [*SMALL, "method=ft", "precision=bf16", f"trainer={trainer}", "trainer.lr=1e-4", "trainer.steps=4", "trainer.eval_every=2"]
    record = run_cell(cell_from_overrides(settings), directory=tmp_path / "cell")
    start, end = (restore_step(tmp_path / "cell", step=step, to=tmp_path / str(step)) for step in (0, 4))
    assert start[1] != end[1]
    assert record.digests.weights == restore_step(tmp_path / "cell", step=None, to=tmp_path / "best")[1]
    assert record.zeroth_order.update_gain == pytest.approx(1.0, abs=0.2)


def test_training_stops_at_a_score(tmp_path):
    base = [*SMALL, "method=lora", "trainer=zo_sgd", "trainer.steps=6", "trainer.eval_every=2"]
    record = run_cell(cell_from_overrides([*base, "trainer.stop_at_score=0.0"]), directory=tmp_path / "a")
    assert (record.cost.steps, record.cost.forwards, record.score.best_step) == (0, 0, 0)
    record = run_cell(cell_from_overrides([*base, "trainer.stop_at_score=1.1"]), directory=tmp_path / "b")
    assert (record.cost.steps, record.cost.forwards) == (6, 12)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("trainer", ["adam", "zo_sgd", pytest.param("zo_adam", marks=pytest.mark.slow)])
def test_a_cell_that_is_stopped_saves_at_once_and_ends_as_if_nothing_had_happened(trainer, tmp_path):
    cell = cell_from_overrides([*SMALL, "method=lora", f"trainer={trainer}", "trainer.steps=12", "trainer.eval_every=6"])
    whole = run_cell(cell, directory=tmp_path / "whole")
    for step in (4, 9):
        with pytest.raises(Stopped):
            run_cell(cell, directory=tmp_path / "stopped", stop=lambda taken, step=step: Stopped() if taken == step else None)
        if trainer != "adam":
            assert len(read_log(tmp_path / "stopped" / "replay.zolog").rows) == step
    again = run_cell(cell, directory=tmp_path / "stopped")
    for name in ("curves", "score", "digests", "zeroth_order"):
        assert getattr(again, name) == getattr(whole, name), name
    lines = [json.loads(line) for line in (tmp_path / "stopped" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train_loss" in line] == list(range(1, 13))  # none of them twice
    if trainer != "adam":
        assert restore_step(tmp_path / "stopped", step=12, to=tmp_path / "end")[1] == restore_step(tmp_path / "whole", step=12, to=tmp_path / "end")[1]


def test_replay_notices_other_weights(tmp_path):
    directory = tmp_path / "cells" / "a1"
    record = run_cell(cell_from_overrides([*SMALL, "method=lora", "trainer=zo_sgd", "trainer.steps=2"]), directory=directory)
    write_record(record.model_copy(update={"digests": Digests(weights="0" * 64)}), directory)
    with pytest.raises(OutputError, match="gives other weights than the run recorded"):
        restore_step(directory, step=None, to=tmp_path / "best")


@pytest.mark.parametrize(("metric", "kept"), [("accuracy", "right"), ("f1", "resampled")])
def test_predictions_are_kept_for_paired_tests(metric, kept, tmp_path):
    rows = "\n".join(json.dumps({"text": f"the plot was {'dull' if n % 2 else 'charming'} .", "label": n % 2}) for n in range(12))
    (tmp_path / "rows.jsonl").write_text(rows)
    files = [f"task.{split}={tmp_path / 'rows.jsonl'}" for split in ("train", "validation")]
    cell = cell_from_overrides(["model=toy-bert", "task=jsonl", *files, f"task.metric={metric}", "method=lora", "trainer=adam", "trainer.steps=2"])
    record = run_cell(cell, directory=tmp_path / "cells" / cell.cell_id)
    (found,) = find_predictions(tmp_path, {cell.cell_id: record}).predictions.values()
    assert len(found.predictions) == record.score.rows == 12
    assert bool(found.right) == (kept == "right")
    assert found.rows == tuple(f"rows.jsonl:{line}" for line in range(1, 13))
    assert found.references == tuple(n % 2 for n in range(12))
    assert (found.label_names, found.texts, len({*found.texts_sha256})) == (("0", "1"), (), 2)
    right = [prediction == reference for prediction, reference in zip(found.predictions, found.references, strict=True)]
    chances = [chance if one else 1 - chance for one, chance in zip(right, found.probabilities, strict=True)]
    assert found.log_likelihoods == pytest.approx([math.log(chance) for chance in chances], abs=1e-4)
    assert record.score.by_class is not None
    assert sum(one.recall * one.rows for one in record.score.by_class.values()) == pytest.approx(sum(right))
    if kept == "right":
        assert found.right.count("1") / 12 == pytest.approx(record.score.value)
    else:
        assert [min(found.resampled) <= record.score.value <= max(found.resampled), len(found.resampled)] == [True, 1000]


@pytest.mark.parametrize(("verbalizer", "warned"), [("['terrible','great']", False), ("['great','terrible']", True)])
def test_a_prompt_that_the_model_answers_no_better_than_chance_is_warned_of(verbalizer, warned, tmp_path):
    for name, rows in generate_sentiment(rows_per_split={"train": 20, "validation": 200}, seed=3).items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = f'train="{tmp_path}/train.jsonl",validation="{tmp_path}/validation.jsonl"'
    task = f'{{type="jsonl",{files},objective="prompt",template="{TEMPLATE}",verbalizer={verbalizer}}}'
    record = run_cell(cell_from_overrides(["model=toy-bert", f"task={task}", "method=lora", "trainer=zo_sgd", "trainer.steps=1"]), directory=tmp_path / "cell")
    assert any("no better than always giving the most frequent label" in note for note in record.warnings) is warned
    first_line = json.loads((tmp_path / "cell" / "metrics.jsonl").read_text().splitlines()[0])
    assert (first_line["step"], first_line.get("starts_unaligned")) == (0, 1.0 if warned else None)  # for the console, at once


def test_a_cell_may_learn_from_accuracy_itself(tmp_path):
    settings = ["trainer=zo_sgd", "trainer.learns_from=metric", "trainer.zo_eps=5e-2", "trainer.lr=2e-2", "trainer.steps=6", "trainer.eval_every=3"]
    record = run_cell(cell_from_overrides([*SMALL, "method=loretta_adp", *settings]), directory=tmp_path)
    losses = [value for _, value in record.curves["train_loss"]]
    assert all((32 * loss) == pytest.approx(round(32 * loss), abs=1e-4) for loss in losses)  # the mean of two shares of 16 rows
    assert len({round(loss, 4) for loss in losses}) > 1
