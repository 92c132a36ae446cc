"""A warm process reads a base once, and no cell can tell."""

import hashlib
import shutil

import pytest
import torch

from loretta_core.adapters.io.saved_modules import new_modules
from loretta_core.config import cell_from_overrides
from loretta_core.config.checkpoints.locate import locate
from loretta_core.config.model import ModelConfig
from loretta_core.train.memory import shared_base
from loretta_core.train.run import run_cell

pytestmark = pytest.mark.integration

SMALL = ("model=toy-bert", "task=toy_sentiment", "task.train_rows=32", "task.validation_rows=16", "task.test_rows=16", "batch_size=8", "trainer.steps=2")


@pytest.fixture(autouse=True)
def _empty_cache():
    shared_base.clear_cache()
    yield
    shared_base.clear_cache()


@pytest.fixture
def loads(monkeypatch) -> list[str]:
    """Models that were read from disk."""
    read: list[str] = []
    load_model = shared_base.load_model

    def counted(model, **options):
        read.append(model.name)
        return load_model(model, **options)

    monkeypatch.setattr(shared_base, "load_model", counted)
    return read


def cell(*settings):
    return cell_from_overrides([*SMALL, *settings])


def result(the_cell, directory):
    record = run_cell(the_cell, directory=directory)
    files = sorted((directory / "adapter").glob("*.safetensors"))
    return record.curves, record.score, [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


@pytest.mark.parametrize(("method", "objective"), [("loretta_adp", "head"), ("lora", "prompt"), ("bitfit", "prompt"), ("prompt", "prompt")])
def test_a_cell_gives_the_same_bits_on_a_base_that_was_kept(method, objective, tmp_path, loads):
    the_cell = cell(f"method={method}", "trainer=adam", f"task.objective={objective}")
    first = result(the_cell, tmp_path / "1")
    kept = {name: value.clone() for name, value in shared_base.cached_models()[0].state_dict().items()}
    second = result(the_cell, tmp_path / "2")
    assert second == first
    assert loads == ["toy-bert"]
    assert all(torch.equal(value, kept[name]) for name, value in shared_base.cached_models()[0].state_dict().items())


def test_base_biases_that_a_method_trains_in_place_get_storage_of_their_own(tmp_path, loads):
    the_cell = cell("method=peft", "method.peft_type=VERA", "method.r=8", "method.bias=all", "trainer=adam", "trainer.lr=0.1")
    assert result(the_cell, tmp_path / "1") == result(the_cell, tmp_path / "2")
    assert loads == ["toy-bert"]


def test_full_fine_tuning_reads_the_checkpoint_and_keeps_nothing(tmp_path, loads):
    run_cell(cell("method=lora", "trainer=adam"), directory=tmp_path / "1")
    run_cell(cell("method=ft", "trainer=adam"), directory=tmp_path / "2")
    assert shared_base.cached_models() == []
    assert loads == ["toy-bert", "toy-bert"]


def test_a_fresh_head_belongs_to_its_seed(tmp_path, loads):
    for seed in (0, 1, 1):
        run_cell(cell("method=lora", "trainer=adam", "task.objective=head", f"seed={seed}"), directory=tmp_path / str(len(loads)) / str(seed))
    assert len(loads) == 2


def test_a_changed_checkpoint_is_read_again(tmp_path, loads):
    shutil.copytree(locate(ModelConfig(type="pretrained", name="toy-bert")), tmp_path / "model")
    options = {"objective": "prompt", "num_labels": 2, "dtype": torch.float32, "seed": 0, "shared": True}
    model = ModelConfig(type="pretrained", name=str(tmp_path / "model"))
    shared_base.base_model(model, **options)
    shared_base.base_model(model, **options)
    (tmp_path / "model" / "config.json").touch()
    shared_base.base_model(model, **options)
    assert len(loads) == 2


def test_tied_weights_stay_tied():
    base = shared_base.base_model(ModelConfig(type="pretrained", name="toy-bert"), objective="prompt", num_labels=2, dtype=torch.float32, seed=0, shared=True)
    assert base.get_input_embeddings().weight is base.get_output_embeddings().weight


def test_a_copy_knows_what_came_from_the_checkpoint():
    options = {"objective": "head", "num_labels": 2, "dtype": torch.float32, "seed": 0, "shared": True}
    base = shared_base.base_model(ModelConfig(type="pretrained", name="toy-bert"), **options)
    assert new_modules(base) == ["bert.pooler.dense"]
