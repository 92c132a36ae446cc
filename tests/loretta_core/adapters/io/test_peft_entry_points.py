"""PEFT's rescale_adapter_scale and hotswap_adapter with loretta_rep: what LoRA gets from them, ours gets."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.helpers import rescale_adapter_scale
from peft.utils.hotswap import hotswap_adapter

from loretta_core.adapters import LorettaAdpConfig, LorettaRepConfig
from loretta_core.adapters.tuners.loretta_rep import LorettaRepLayer

CONFIGS = {
    "LORA": lambda **more: LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, target_modules=["q_proj"], **more),
    "LORETTA_REP": lambda **more: LorettaRepConfig(**{"task_type": "CAUSAL_LM", "tensor_rank": 2, "r": 4, "train_norms": False, **more}),
}


@torch.no_grad()
def trained(base, config, *, seed=0):
    model = get_peft_model(base, config).eval()
    torch.manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@torch.no_grad()
def logits(model, token_ids):
    return model(input_ids=token_ids).logits


def saved(tiny, config, directory, *, seed, **base):
    model = trained(tiny("llama", task_type="CAUSAL_LM", **base), config, seed=seed)
    model.save_pretrained(str(directory))
    return model


@pytest.mark.parametrize("kind", CONFIGS)
def test_rescaling_for_a_while(tiny, token_ids, kind):
    base = tiny("llama", task_type="CAUSAL_LM")
    plain = logits(base, token_ids)
    model = trained(base, CONFIGS[kind]())
    adapted = logits(model, token_ids)
    with rescale_adapter_scale(model, 0.0):
        torch.testing.assert_close(logits(model, token_ids), plain)
    torch.testing.assert_close(logits(model, token_ids), adapted, atol=0, rtol=0)
    assert not torch.allclose(adapted, plain)


@pytest.mark.parametrize("kind", CONFIGS)
def test_scales_of_a_layer(tiny, kind):
    model = trained(tiny("llama", task_type="CAUSAL_LM"), CONFIGS[kind](lora_alpha=12, use_rslora=True))
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    first = layer.scaling["default"]
    layer.set_scale("default", 3.0)
    layer.set_scale("absent", 5.0)
    layer.scale_layer(2.0)
    assert layer.scaling == {"default": 6.0 * first}
    layer.unscale_layer(4.0)
    assert layer.scaling["default"] == pytest.approx(1.5 * first)
    layer.unscale_layer()
    assert layer.scaling == {"default": first}


@pytest.mark.parametrize("settings", [{}, {"train_norms": True}, {"init_weights": "subtract"}], ids=str)
def test_another_adapter_takes_the_place_of_one(tiny, token_ids, tmp_path, settings):
    saved(tiny, CONFIGS["LORETTA_REP"](**settings), tmp_path / "one", seed=1)
    expected = logits(saved(tiny, CONFIGS["LORETTA_REP"](**settings), tmp_path / "two", seed=2), token_ids)
    model = PeftModel.from_pretrained(tiny("llama", task_type="CAUSAL_LM"), str(tmp_path / "one")).eval()
    places = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    hotswap_adapter(model, str(tmp_path / "two"), "default", torch_device="cpu")
    torch.testing.assert_close(logits(model, token_ids), expected, atol=0, rtol=0)
    assert {name: parameter.data_ptr() for name, parameter in model.named_parameters()} == places


def test_lora_is_swapped_as_before(tiny, token_ids, tmp_path):
    expected = logits(saved(tiny, CONFIGS["LORA"](), tmp_path, seed=2), token_ids)
    model = trained(tiny("llama", task_type="CAUSAL_LM"), CONFIGS["LORA"](), seed=1)
    hotswap_adapter(model, str(tmp_path), "default", torch_device="cpu")
    torch.testing.assert_close(logits(model, token_ids), expected)


@pytest.mark.parametrize(
    ("settings", "base", "error", "message"),
    [
        ({"r": 8}, {}, ValueError, "for r, 4 != 8"),
        ({"lora_alpha": 1.0}, {}, ValueError, "for lora_alpha"),
        ({"target_modules": ["k_proj"]}, {}, RuntimeError, r"cannot take the place of 'default'; missing: .*unexpected: "),
        ({}, {"hidden_size": 64, "head_dim": 16}, RuntimeError, "other size: "),
    ],
    ids=str,
)
def test_what_does_not_fit_changes_nothing(tiny, tmp_path, settings, base, error, message):
    saved(tiny, CONFIGS["LORETTA_REP"](**settings), tmp_path, seed=2, **base)
    model = trained(tiny("llama", task_type="CAUSAL_LM"), CONFIGS["LORETTA_REP"]())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(error, match=message):
        hotswap_adapter(model, str(tmp_path), "default", torch_device="cpu")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_merged_adapter_is_not_swapped(tiny, tmp_path):
    model = saved(tiny, CONFIGS["LORETTA_REP"](), tmp_path, seed=2)
    model.merge_adapter()
    with pytest.raises(ValueError, match="unmerge_adapter"):
        hotswap_adapter(model, str(tmp_path), "default", torch_device="cpu")


def test_what_is_no_weight_update_stays_refused(tiny, tmp_path):
    model = trained(tiny("llama", task_type="CAUSAL_LM"), LorettaAdpConfig(task_type="CAUSAL_LM"))
    model.save_pretrained(str(tmp_path))
    with pytest.raises(ValueError, match="Hotswapping only supports LORA, LORETTA_REP"):
        hotswap_adapter(model, str(tmp_path), "default", torch_device="cpu")
    with pytest.raises(ValueError, match="scaling is only supported"), rescale_adapter_scale(model, 0.5):
        raise AssertionError
    assert not any(isinstance(module, LorettaRepLayer) for module in model.modules())


def test_mixed_models_name_the_types_they_mix(tiny):
    base = tiny("llama", task_type="CAUSAL_LM")
    with pytest.raises(ValueError, match="'LORETTA_REP' is not compatible with the `PeftMixedModel`"):
        get_peft_model(base, CONFIGS["LORETTA_REP"](), mixed=True)
