"""The facts of a cell before anything is loaded equal those of the loaded cell."""

import json

import pytest

from loretta_core.adapters.build import trainable_parameter_count
from loretta_core.config import FAMILIES, cell_from_overrides
from loretta_core.config.checkpoints.local_files import find_checkpoint
from loretta_core.errors import MethodError
from loretta_core.plan.cell import CellPlan, plan_cell
from loretta_core.train.build import build_run

SMALL = ["model=toy-bert", "task=toy_sentiment", "task.train_rows=16", "task.validation_rows=8", "task.test_rows=8", "trainer=adam"]
ALBERT = {"model_type": "albert", "hidden_size": 32, "embedding_size": 16, "num_hidden_layers": 2, "intermediate_size": 48, "vocab_size": 40}


@pytest.mark.parametrize("objective", ["prompt", "head"])
@pytest.mark.parametrize("method", sorted(FAMILIES["method"].keys() - {"peft"}))
def test_the_prediction_is_what_trains(method, objective):
    cell = cell_from_overrides([*SMALL, f"method={method}", f"task.objective={objective}"])
    assert plan_cell(cell) == CellPlan(trainable_params=trainable_parameter_count(build_run(cell).model))


@pytest.mark.parametrize("trainer", ["none", '{type="icl", demonstrations=2}'])
def test_what_trains_nothing_has_no_trainable_parameters(trainer):
    small = [word.replace("toy-bert", "toy-llama") for word in SMALL]
    cell = cell_from_overrides([*small, "task.objective=causal", "method=lora", f"trainer={trainer}"])
    assert plan_cell(cell) == CellPlan(trainable_params=0)
    assert build_run(cell).trainable_params == 0


@pytest.fixture
def albert(tmp_path):
    """Write a checkpoint whose weights cannot be read: code that tries to fails."""
    (tmp_path / "config.json").write_text(json.dumps(ALBERT))
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not the weights!")
    return tmp_path


@pytest.mark.parametrize("method", ["prompt", "prefix", "ptune"])
def test_a_refusal_comes_before_the_weights_are_read(albert, method):
    cell = cell_from_overrides([*SMALL, f"model={albert}", f"method={method}"])
    with pytest.raises(
        MethodError, match=rf"^{method} does not work on albert: .*\. Methods that do: loretta_adp, adapters, loretta_rep, .*lora, ia3, "
    ) as caught:
        build_run(cell)
    assert plan_cell(cell) == CellPlan(refusal=str(caught.value))


def test_rows_are_not_packed_where_a_state_runs_from_token_to_token(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 40}))
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not the weights!")
    packed = cell_from_overrides([f"model={tmp_path}", "task=toy_instruct", "task.packing=true", "method=lora", "trainer=adam"])
    with pytest.raises(MethodError, match=r"^task.packing = true: mamba carries a state from token to token") as caught:
        build_run(packed)
    assert plan_cell(packed) == CellPlan(refusal=str(caught.value))


def test_nothing_is_said_of_models_that_are_not_at_hand(albert, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    lora = [*SMALL, "method=lora"]
    assert plan_cell(cell_from_overrides([*lora, "model=someone/something"])) == CellPlan()
    (albert / "config.json").write_text('{"model_type": "rwkv"}')
    assert plan_cell(cell_from_overrides([*lora, f"model={albert}"])) == CellPlan()
    assert plan_cell(cell_from_overrides([*SMALL, "method={type='peft',peft_type='VERA'}"])) == CellPlan()
    unread = cell_from_overrides(["model=toy-bert", 'task={type="jsonl",train="a",validation="b"}', "method=lora", "trainer=adam"])
    assert plan_cell(unread) == CellPlan()


def test_labels_of_a_file_count_once_they_are_named():
    named = ["model=toy-bert", 'task={type="jsonl",train="a",validation="b",labels=["x","y","z"]}', "trainer=adam"]
    two, three = (plan_cell(cell_from_overrides([*named, "method=lora", f"task.labels={labels}"])) for labels in ('["x","y"]', '["x","y","z"]'))
    assert three.trainable_params - two.trainable_params == 128 + 1


def test_the_hub_cache_is_read_like_the_hub_writes_it(albert, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--someone--something"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c0ffee")
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / "c0ffee").symlink_to(albert)
    cell = cell_from_overrides([*SMALL, "model=someone/something", "method=ia3"])
    assert find_checkpoint(cell.model) == repository / "snapshots" / "c0ffee"
    assert plan_cell(cell).trainable_params == 2 * 32 + 48  # ALBERT's layers share one set
    pinned = cell_from_overrides([*SMALL, "model=someone/something", "model.revision=c0ffee", "method=ia3"])
    assert find_checkpoint(pinned.model) == repository / "snapshots" / "c0ffee"
