"""Settings of single layers mean what they mean for LoRA: the same layers, the same ranks and factors; the norms of the chosen blocks, and no others."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from loretta_core.adapters import BottleneckConfig, LorettaAdpConfig, LorettaRepConfig
from loretta_core.adapters.tuners.adapter_layer import AdapterLayer
from loretta_core.adapters.tuners.loretta_rep import LorettaRepLayer
from loretta_core.adapters.tuners.trainable_norms import TrainableNorm
from loretta_core.errors import MethodError

OURS = [LorettaRepConfig, LorettaAdpConfig, BottleneckConfig]
TARGETS = ["q_proj", "v_proj"]
CHOICES = [
    {"layers_to_transform": [1]},
    {"layers_to_transform": 0, "layers_pattern": "layers"},
    {"layers_to_transform": [0, 1], "layers_pattern": ["blocks", "layers"], "exclude_modules": ["layers.0.self_attn.q_proj"]},
    {"exclude_modules": r".*layers\.0\..*"},
]


def layers(model, kind):
    return {path for path, module in model.named_modules() if isinstance(module, kind)}


def settings(choice):
    return {"task_type": "CAUSAL_LM", "target_modules": TARGETS, **choice}


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("config_cls", OURS, ids=lambda cls: cls.__name__)
def test_the_same_layers_as_lora(tiny, config_cls, choice):
    lora = get_peft_model(tiny("llama", task_type="CAUSAL_LM"), LoraConfig(**settings(choice)))
    expected = {path for path, module in lora.named_modules() if hasattr(module, "lora_A")}
    ours = get_peft_model(tiny("llama", task_type="CAUSAL_LM"), config_cls(**settings(choice), train_norms=True))
    assert layers(ours, AdapterLayer) - layers(ours, TrainableNorm) == expected


@pytest.mark.parametrize(
    ("choice", "blocks", "last"),
    [(CHOICES[0], {1}, False), (CHOICES[1], {0}, False), (CHOICES[3], {1}, True), ({"exclude_modules": ["layers.0.self_attn.q_proj", "norm"]}, {0, 1}, False)],
    ids=str,
)
def test_norms_follow_the_chosen_blocks(tiny, choice, blocks, last):
    model = get_peft_model(tiny("llama", task_type="CAUSAL_LM"), LorettaRepConfig(**settings(choice)))
    outer = "base_model.model.model"
    expected = {f"{outer}.layers.{block}.{name}" for block in blocks for name in ("input_layernorm", "post_attention_layernorm")}
    assert layers(model, TrainableNorm) == expected | ({f"{outer}.norm"} if last else set())


def test_ranks_and_factors_are_those_of_lora(tiny):
    own = {"r": 4, "lora_alpha": 8, "rank_pattern": {r"layers\.0\.self_attn\.q_proj": 2, "v_proj": 6}, "alpha_pattern": {"v_proj": 5}}
    for use_rslora in (False, True):
        chosen = settings({**own, "use_rslora": use_rslora})
        lora = get_peft_model(tiny("llama", task_type="CAUSAL_LM"), LoraConfig(**chosen))
        expected = {path: (module.r["default"], module.scaling) for path, module in lora.named_modules() if hasattr(module, "lora_A")}
        ours = get_peft_model(tiny("llama", task_type="CAUSAL_LM"), LorettaRepConfig(**chosen))
        found = {path: layer for path, layer in ours.named_modules() if isinstance(layer, LorettaRepLayer)}
        assert {path: (layer.blocks["default"].A.shape.out_features, layer.scaling) for path, layer in found.items()} == expected


@torch.no_grad()
def test_a_reload_finds_them_again(tiny, token_ids, tmp_path):
    choice = {"layers_to_transform": [1], "rank_pattern": {"v_proj": 3}, "use_rslora": True, "exclude_modules": ["input_layernorm"]}
    model = get_peft_model(tiny("llama", task_type="CAUSAL_LM"), LorettaRepConfig(**settings(choice))).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(str(tmp_path))
    loaded = PeftModel.from_pretrained(tiny("llama", task_type="CAUSAL_LM"), str(tmp_path)).eval()
    torch.testing.assert_close(loaded(input_ids=token_ids).logits, model(input_ids=token_ids).logits, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"layers_to_transform": [0, 7]}, r"layers_to_transform = \[0, 7\]: no target lies in a block number 7; the model has model.layers.0, model.layers.1"),
        ({"layers_to_transform": [0], "layers_pattern": "h"}, "no target lies in a block number 0"),
        ({"layers_to_transform": [-1]}, "expected a number from 0 on"),
        ({"alpha_pattern": {"q_proj": -1}}, "alpha_pattern = .*; expected for every layer a positive number"),
        ({"layers_to_transform": []}, "expected a number from 0 on"),
        ({"layers_pattern": "layers"}, "layers_to_transform counts, which is not set"),
        ({"layers_to_transform": [0], "target_modules": ".*q_proj"}, "a pattern names its layers itself"),
        ({"exclude_modules": [*TARGETS]}, "leaves none of target_modules"),
        ({"rank_pattern": {"q_proj": 4, "k_proj": 2}}, "rank_pattern = .*: 'k_proj' names none of the layers that get an adapter: .*q_proj, .*v_proj"),
        ({"alpha_pattern": {"proj": 4}}, "alpha_pattern = .*: 'proj' names none"),
        ({"rank_pattern": {"(q_proj": 4}}, r"rank_pattern = \{'\(q_proj': 4\}; expected a dict from names of layers, or regular expressions"),
        ({"rank_pattern": {"q_proj": 0}}, r"rank_pattern = \{'q_proj': 0\}; expected for every layer a whole number of at least 1"),
    ],
    ids=str,
)
def test_a_choice_that_is_none_is_refused_before_anything_changes(tiny, choice, message):
    base = tiny("llama", task_type="CAUSAL_LM")
    before = [path for path, _ in base.named_modules()]
    with pytest.raises(MethodError, match=message):
        get_peft_model(base, LorettaRepConfig(**settings(choice)))
    assert [path for path, _ in base.named_modules()] == before


def test_a_model_that_begins_with_its_blocks_needs_their_name(tiny):
    inner = tiny("llama", task_type="CAUSAL_LM").model
    with pytest.raises(MethodError, match="PEFT finds these with layers_pattern = 'layers' only"):
        get_peft_model(inner, LorettaRepConfig(target_modules=TARGETS, layers_to_transform=[1]))
    model = get_peft_model(inner, LorettaRepConfig(target_modules=TARGETS, layers_to_transform=[1], layers_pattern="layers"))
    assert all(".layers.1." in path for path in layers(model, AdapterLayer))
