"""Tensors that all layers of an adapter share: held once, saved once, each adapter with its own."""

from copy import deepcopy

import pytest
import torch
from peft import PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict

from loretta_core import LortaConfig, MetaTTConfig
from loretta_core.errors import MethodError

CONFIGS = {"metatt": lambda: MetaTTConfig(tensor_rank=3), "lorta": lambda: LortaConfig(r=3)}


@pytest.fixture(params=CONFIGS)
def make_config(request):
    return CONFIGS[request.param]


@torch.no_grad()
def move(model, adapter):
    for name, parameter in model.named_parameters():
        if f".{adapter}." in name:
            parameter.add_(0.3 * torch.randn_like(parameter))


def test_they_are_parameters_of_the_first_layer_alone(tiny, make_config):
    model = get_peft_model(tiny("llama", task_type="CAUSAL_LM"), make_config())
    owners = {name.split("_block.")[0] for name in get_peft_model_state_dict(model)}
    assert len(owners) == 1
    assert "layers.0.self_attn.q_proj" in owners.pop()
    assert sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) == sum(
        value.numel() for value in get_peft_model_state_dict(model).values()
    )


def test_every_layer_reads_them(tiny, token_ids, make_config):
    base = tiny("llama", task_type="CAUSAL_LM")
    model = get_peft_model(deepcopy(base), make_config())
    move(model, "default")
    merged = model.merge_and_unload()
    for layer, before in zip(merged.model.layers, base.model.layers, strict=True):
        assert not torch.equal(layer.self_attn.q_proj.weight, before.self_attn.q_proj.weight)
        assert not torch.equal(layer.self_attn.v_proj.weight, before.self_attn.v_proj.weight)
        assert torch.equal(layer.self_attn.k_proj.weight, before.self_attn.k_proj.weight)


def test_adapters_are_apart_and_add_up(tiny, token_ids, make_config):
    base = tiny("bert", task_type="MASKED_LM")
    model = get_peft_model(deepcopy(base), make_config(), adapter_name="one").eval()
    model.add_adapter("two", make_config())
    move(model, "one")
    one = model(input_ids=token_ids).logits
    move(model, "two")
    assert torch.equal(model(input_ids=token_ids).logits, one)
    model.set_adapter("two")
    assert not torch.equal(model(input_ids=token_ids).logits, one)
    model.base_model.set_adapter(["one", "two"])
    both = model(input_ids=token_ids).logits
    model.merge_adapter(["one", "two"])
    torch.testing.assert_close(model(input_ids=token_ids).logits, both, rtol=0, atol=1e-4)
    model.unmerge_adapter()
    model.delete_adapter("two")
    assert torch.equal(model(input_ids=token_ids).logits, one)


def test_rows_of_a_batch_under_adapters_of_their_own(tiny, token_ids, make_config):
    model = get_peft_model(tiny("bert", task_type="MASKED_LM"), make_config(), adapter_name="one").eval()
    move(model, "one")
    mixed = model(input_ids=token_ids, adapter_names=["one", "__base__", "one"]).logits
    torch.testing.assert_close(mixed[0], model(input_ids=token_ids).logits[0], rtol=0, atol=1e-5)
    with model.disable_adapter():
        torch.testing.assert_close(mixed[1], model(input_ids=token_ids).logits[1], rtol=0, atol=1e-5)


def test_transformers_loads_them_without_peft_model(tiny, token_ids, tmp_path, make_config):
    base = tiny("llama", task_type="CAUSAL_LM")
    model = get_peft_model(deepcopy(base), make_config()).eval()
    move(model, "default")
    model.save_pretrained(str(tmp_path))
    base.load_adapter(str(tmp_path))
    assert torch.equal(base.eval()(input_ids=token_ids).logits, model(input_ids=token_ids).logits)


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_a_second_adapter_is_loaded_beside_the_first(tiny, token_ids, tmp_path, make_config, low_cpu_mem_usage):
    base = tiny("bert", task_type="MASKED_LM")
    model = get_peft_model(deepcopy(base), make_config()).eval()
    move(model, "default")
    model.save_pretrained(str(tmp_path))
    loaded = PeftModel.from_pretrained(base, str(tmp_path), adapter_name="first", low_cpu_mem_usage=low_cpu_mem_usage).eval()
    loaded.load_adapter(str(tmp_path), "second", low_cpu_mem_usage=low_cpu_mem_usage)
    loaded.set_adapter("second")
    assert torch.equal(loaded(input_ids=token_ids).logits, model(input_ids=token_ids).logits)


@pytest.mark.parametrize("make_config", CONFIGS.values(), ids=CONFIGS)
def test_a_choice_of_layers_that_is_none_is_refused_as_with_other_methods(tiny, make_config):
    choices = [
        ({"layers_to_transform": [0, 9]}, r"layers_to_transform = \[0, 9\]: no target lies in a block number 9"),
        ({"exclude_modules": ".*"}, r"exclude_modules = '\.\*' leaves none of target_modules"),
    ]
    for choice, message in choices:
        base, config = tiny("bert", task_type="MASKED_LM"), make_config()
        for name, value in choice.items():
            setattr(config, name, value)
        with pytest.raises(MethodError, match=message):
            get_peft_model(base, config)


def test_targets_that_are_no_linear_layers_are_refused(tiny):
    base = tiny("bert", task_type="MASKED_LM")
    with pytest.raises(MethodError, match="Embedding and not a Linear"):
        get_peft_model(base, MetaTTConfig(target_modules=r".*word_embeddings"))
    with pytest.raises(MethodError, match="no adapter 'two'; there are: default"):
        get_peft_model(base, MetaTTConfig()).base_model.tensors_of("two")
