"""The torch-free layouts name every parameter of the real model, with its size."""

import json
from pathlib import Path

import pytest
import torch

from loretta_core.adapters.io.saved_modules import new_modules
from loretta_core.config.model import TOY_MODELS, Pretrained
from loretta_core.errors import ModelError
from loretta_core.models import load_model, locate
from loretta_core.plan.architectures.model import LAYOUTS, NOT_TEXT, model_layers, stored_tensors
from loretta_core.sites import ARCHITECTURES, BY_RULE, DECODERS
from tests import by_rule
from tests.loretta_core.plan.conftest import CONFIGS


def tasks_of(name):
    model_type = CONFIGS[name][0]
    if model_type in BY_RULE:
        return by_rule.tasks_of(model_type)
    if model_type == "t5":
        return ["SEQ_CLS", "SEQ_2_SEQ_LM"]
    return ["SEQ_CLS", "CAUSAL_LM" if model_type in DECODERS else "MASKED_LM"]


PAIRS = [(name, task_type) for name in CONFIGS for task_type in tasks_of(name)]


def test_every_architecture_that_reads_text_has_a_layout():
    assert set(LAYOUTS) == {*ARCHITECTURES, *BY_RULE} - set(NOT_TEXT) == {model_type for model_type, _ in CONFIGS.values()}
    assert set(by_rule.CONFIGS) == set(BY_RULE)
    assert set(NOT_TEXT) == set(by_rule.NOT_TEXT)


@pytest.mark.parametrize(("name", "task_type"), PAIRS)
def test_the_layers_are_those_of_the_real_model(on_meta, name, task_type):
    real = on_meta(name, task_type)
    labels = 3 if task_type == "SEQ_CLS" else None
    layers = model_layers(json.loads(real.config.to_json_string()), labels=labels).layers
    described = {key: count for layer in layers for key, count in layer.parameters.items()}
    sizes = {key: parameter.numel() for key, parameter in real.named_parameters(remove_duplicate=False)}
    assert described.items() <= sizes.items()
    assert sum(described.values()) == sum(parameter.numel() for parameter in real.parameters())
    assert sum(layer.count for layer in layers) == sum(described.values())


@pytest.mark.parametrize("name", ["bert", "llama", "gemma", "gpt2", "t5", "opt", "albert", *(name for name, _ in PAIRS if name in BY_RULE)])
def test_a_config_may_leave_out_what_has_a_default(on_meta, name):
    """Files on the hub were written by many versions; what equals transformers' default is often missing."""
    config = on_meta(name, tasks_of(name)[0]).config
    short = json.loads(config.to_json_string())
    _, given = CONFIGS[name]
    sparse = {key: value for key, value in short.items() if key in (*given, "model_type")}
    for labels in (None, 3):
        assert model_layers(sparse, labels=labels).total == model_layers(short, labels=labels).total


@pytest.mark.parametrize("name", TOY_MODELS)
def test_new_modules_are_found_in_the_header_of_the_checkpoint(name):
    directory = Path(locate(Pretrained(type="pretrained", name=name)))
    config = json.loads((directory / "config.json").read_text())
    real = load_model(Pretrained(type="pretrained", name=name), objective="head", num_labels=2, dtype=torch.float32)
    described = model_layers(config, labels=2, stored=stored_tensors(directory))
    assert [path for path in described.trained_head if path not in ("classifier", "score")] == new_modules(real)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ModelError, match=r"the layers of 'rwkv' are not known here.*known: bert, "):
        model_layers({"model_type": "rwkv"}, labels=None)
    with pytest.raises(ModelError, match=r"^vit reads pictures, and only models of text are planned"):
        model_layers({"model_type": "vit"}, labels=None)


def test_a_config_without_its_widths_is_refused():
    with pytest.raises(ModelError, match=r"config\.json of a 'gemma2' has no hidden_size"):
        model_layers({"model_type": "gemma2", "num_hidden_layers": 2}, labels=None)
    with pytest.raises(ModelError, match=r"config\.json of a 'gemma2' has vocab_size = None; expected a number"):
        model_layers({"model_type": "gemma2", "hidden_size": 8, "num_hidden_layers": 2}, labels=None)
