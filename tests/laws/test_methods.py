"""The laws that every fine-tuning method obeys, one table of methods x models."""

import pickle
from copy import deepcopy

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open

from loretta_core.adapters.build import METHODS, load_adapter, save_adapter, trainable_parameter_count
from loretta_core.config import FAMILIES
from loretta_core.errors import MethodError

BASES = ["bert-head", "bert-prompt", "llama-head", "llama-lm"]
NAMES = list(METHODS)
PEFT_NAMES = [name for name, method in METHODS.items() if method.peft_config]
MERGING = [name for name in PEFT_NAMES if METHODS[name].merges]
HEADS = ("classifier", "score")


def on(names):
    """Parametrize over all models and the given methods."""
    return lambda test: pytest.mark.parametrize("base_name", BASES)(pytest.mark.parametrize("method_name", names)(test))


def test_the_table_holds_every_method_of_the_config():
    assert set(METHODS) == set(FAMILIES["method"])


@on(NAMES)
def test_identity_at_init(make_case, base_name, method_name):
    assert METHODS[method_name].identity_at_init
    case = make_case(base_name, method_name)
    assert torch.equal(case.logits(), case.logits(case.base))


@on(NAMES)
def test_only_declared_parameters_train(make_case, base_name, method_name):
    case = make_case(base_name, method_name)
    trainable = {name for name, parameter in case.model.named_parameters() if parameter.requires_grad}
    if method_name == "ft":
        assert trainable == {name for name, _ in case.model.named_parameters()}
        return
    allowed = {"loretta_adp": "loretta_adp_block", "loretta_rep": "loretta_rep_block", "lora": "lora_", "adapters": "bottleneck_block"}[method_name]
    norms = {name for name in trainable if "trainable_norm" in name}
    heads = {name for name in trainable if ".modules_to_save." in name}
    assert bool(norms) == method_name.startswith("loretta")
    assert bool(heads) == base_name.endswith("-head")
    assert all(any(head in name for head in HEADS) for name in heads)
    assert all(f".{allowed}" in name for name in trainable - norms - heads)
    assert all(parameter.dtype == torch.float32 for parameter in case.model.parameters() if parameter.requires_grad)


@on(NAMES)
def test_frozen_weights_stay_bitwise_and_every_trained_one_moves(make_case, base_name, method_name):
    case = make_case(base_name, method_name)
    before = {name: parameter.detach().clone() for name, parameter in case.model.named_parameters()}
    case.train()
    for name, parameter in case.model.named_parameters():
        assert torch.equal(before[name], parameter) != parameter.requires_grad, name


@on(NAMES)
def test_no_dead_parameter_by_the_second_step(make_case, base_name, method_name):
    first, second = make_case(base_name, method_name).train(steps=2)
    assert not second
    if method_name == "ft":
        assert not first


@on(NAMES)
def test_save_and_load_give_identical_logits(make_case, tmp_path, base_name, method_name):
    case = make_case(base_name, method_name)
    case.train()
    save_adapter(case.model, tmp_path)
    fresh = deepcopy(case.base)
    with torch.no_grad():
        for name, parameter in fresh.named_parameters():
            if any(head in name for head in HEADS):
                parameter.normal_()  # a fresh process draws another random head
    loaded = load_adapter(fresh, method=case.method, directory=tmp_path).eval()
    assert torch.equal(case.logits(loaded), case.logits())
    assert not torch.equal(case.logits(), case.logits(case.base))
    assert trainable_parameter_count(loaded) == trainable_parameter_count(case.model)


@on(PEFT_NAMES)
def test_plain_peft_loads_what_we_save(make_case, tmp_path, base_name, method_name):
    case = make_case(base_name, method_name)
    case.train()
    save_adapter(case.model, tmp_path)
    loaded = PeftModel.from_pretrained(deepcopy(case.base), str(tmp_path)).eval()
    assert torch.equal(case.logits(loaded), case.logits())
    assert trainable_parameter_count(loaded) == 0


@on(NAMES)
def test_files_hold_tensors_only(make_case, tmp_path, base_name, method_name):
    case = make_case(base_name, method_name)
    save_adapter(case.model, tmp_path)
    weights = [path for path in tmp_path.iterdir() if path.suffix not in {".json", ".md"}]
    assert [path.suffix for path in weights] == [".safetensors"]
    with safe_open(weights[0], "pt") as file:
        names = file.keys()
        stored = sum(file.get_tensor(name).numel() for name in names)
    assert stored == trainable_parameter_count(case.model)


@on(MERGING)
def test_merged_equals_unmerged(make_case, base_name, method_name):
    case = make_case(base_name, method_name)
    case.train()
    logits = case.logits()
    merged = case.model.merge_and_unload()
    assert type(merged) is type(case.base)
    torch.testing.assert_close(case.logits(merged), logits, rtol=0, atol=1e-5)


@on([name for name, method in METHODS.items() if not method.merges])
def test_what_cannot_be_merged_says_why_and_stays_usable(make_case, base_name, method_name):
    case = make_case(base_name, method_name)
    case.train()
    logits = case.logits()
    with pytest.raises(MethodError, match="non-linearity"):
        case.model.merge_and_unload()
    with pytest.raises(MethodError, match="non-linearity"):
        case.model.merge_adapter()
    assert torch.equal(case.logits(), logits)


@on(PEFT_NAMES)
def test_disable_restores_the_base_exactly(make_case, base_name, method_name):
    case = make_case(base_name, method_name)
    case.train()
    adapted = case.logits()
    with case.model.disable_adapter():
        assert torch.equal(case.logits(), case.logits(case.base))
    assert torch.equal(case.logits(), adapted)
    with pytest.raises(RuntimeError, match="inside"), case.model.disable_adapter():
        raise RuntimeError("inside")
    assert torch.equal(case.logits(), adapted)


@on(["loretta_rep"])
def test_unmerging_restores_the_base_bitwise(make_case, base_name, method_name):
    case = make_case(base_name, method_name)
    case.train()
    case.model.merge_adapter()
    with case.model.disable_adapter():
        assert torch.equal(case.logits(), case.logits(case.base))


@on(NAMES)
def test_bf16_base_trains(make_case, base_name, method_name):
    case = make_case(base_name, method_name, dtype=torch.bfloat16)
    torch.testing.assert_close(case.logits().float(), case.logits(case.base).float(), rtol=0, atol=3e-2)
    before = case.logits()
    _, dead = case.train()
    assert not dead
    assert not torch.equal(case.logits(), before)
    trainable = {parameter.dtype for parameter in case.model.parameters() if parameter.requires_grad}
    assert trainable == {torch.bfloat16 if method_name == "ft" else torch.float32}


@pytest.mark.parametrize("base_name", ["bert-head", "llama-head"])
@pytest.mark.parametrize("method_name", NAMES)
def test_bf16_base_reloads_without_rounding(make_case, tmp_path, base_name, method_name):
    case = make_case(base_name, method_name, dtype=torch.bfloat16)
    case.train()
    save_adapter(case.model, tmp_path)
    loaded = load_adapter(deepcopy(case.base), method=case.method, directory=tmp_path).eval()
    assert torch.equal(case.logits(loaded), case.logits())


@on(NAMES)
@pytest.mark.parametrize("clone", [deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["deepcopy", "pickle"])  # noqa: S301
def test_models_can_be_copied_and_sent(make_case, base_name, method_name, clone):
    case = make_case(base_name, method_name)
    case.train()
    twin = clone(case.model)
    assert torch.equal(case.logits(twin), case.logits())
    for parameter in twin.parameters():
        parameter.data.zero_()
    assert case.logits().any()
