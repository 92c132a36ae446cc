"""Fields of our PEFT configs: junk is named, and every activation of transformers works."""

from typing import get_args

import pytest
import torch
from transformers.activations import ACT2FN

from loretta_core.adapters import BottleneckConfig, LorettaAdpConfig, LorettaRepConfig
from loretta_core.adapters.build import apply_method, load_adapter, save_adapter, trainable_parameter_count
from loretta_core.adapters.field_checks import check_fields
from loretta_core.adapters.tuners.bitfit import BitfitConfig
from loretta_core.config.method import Adapters
from loretta_core.errors import MethodError
from loretta_core.methods.fields import Activation


@pytest.mark.parametrize(
    ("config_cls", "settings", "message"),
    [
        (LorettaAdpConfig, {"tensor_rank": 0}, "LorettaAdpConfig: tensor_rank = 0; expected a whole number of at least 1"),
        (LorettaRepConfig, {"tensor_rank": "5"}, "tensor_rank = '5'; expected a whole number"),
        (LorettaRepConfig, {"tensor_rank": 2.5}, r"tensor_rank = 2\.5"),
        (LorettaRepConfig, {"tensor_rank": True}, "tensor_rank = True"),
        (LorettaRepConfig, {"r": 0}, "r = 0"),
        (LorettaRepConfig, {"lora_alpha": 0}, "lora_alpha = 0; expected a positive number"),
        (LorettaRepConfig, {"lora_alpha": float("nan")}, "lora_alpha = nan"),
        (LorettaRepConfig, {"lora_dropout": 1.0}, r"lora_dropout = 1\.0; expected a number from 0 to below 1"),
        (LorettaRepConfig, {"init_weights": "mean"}, "init_weights = 'mean'; expected one of zero, subtract"),
        (LorettaRepConfig, {"shape": "papper"}, r"shape = 'papper'; expected 'auto', 'paper' or a list of at least two modes"),
        (LorettaRepConfig, {"shape": [8, 4.0]}, r"shape = \[8, 4\.0\]"),
        (LorettaRepConfig, {"classifier_shape": "thin"}, "classifier_shape = 'thin'; expected 'dense'"),
        (LorettaRepConfig, {"train_norms": "no"}, "train_norms = 'no'; expected True or False"),
        (LorettaRepConfig, {"inference_mode": "no"}, "inference_mode = 'no'; expected True or False"),
        (LorettaRepConfig, {"rank_pattern": {5: 4}}, r"rank_pattern = \{5: 4\}; expected a dict from names"),
        (LorettaAdpConfig, {"bottleneck_size": None}, "bottleneck_size = None"),
        (LorettaAdpConfig, {"adapter_dropout": "0.1"}, "adapter_dropout = '0.1'"),
        (LorettaAdpConfig, {"adapter_bias": "up"}, "adapter_bias = 'up'; expected one of both, down, none"),
        (LorettaAdpConfig, {"input_modules": "fc1"}, "input_modules = 'fc1'; expected a list of names"),
        (BottleneckConfig, {"bottleneck_size": -3}, "BottleneckConfig: bottleneck_size = -3"),
        (BottleneckConfig, {"non_linearity": "swoosh"}, "non_linearity = 'swoosh'; expected one of gelu, .*prelu"),
        (BottleneckConfig, {"scaling": "learned"}, "scaling = 'learned'; expected a number"),
        (BottleneckConfig, {"train_norms": 1}, "train_norms = 1"),
        (BottleneckConfig, {"target_modules": 3}, "target_modules = 3; expected a list of names, a regular expression"),
        (BottleneckConfig, {"target_modules": "(fc1"}, r"target_modules = '\(fc1'"),
        (BottleneckConfig, {"modules_to_save": "head"}, "modules_to_save = 'head'"),
        (BitfitConfig, {"target_modules": ["query"]}, r"BitfitConfig: target_modules = \['query'\]"),
        (BitfitConfig, {"modules_to_save": [1]}, "modules_to_save"),
    ],
)
def test_junk_is_refused_by_name(config_cls, settings, message):
    config = config_cls()
    for name, value in settings.items():  # the constructor's annotations are enforced in tests, and only there
        setattr(config, name, value)
    with pytest.raises(MethodError, match=message):
        check_fields(config)


def test_the_constructor_checks():
    with pytest.raises(MethodError, match="LorettaRepConfig: tensor_rank = 0; expected a whole number of at least 1"):
        LorettaRepConfig(tensor_rank=0)


def test_a_sweep_may_name_every_activation_that_a_config_takes():
    assert set(get_args(Activation)) == set(ACT2FN)


@pytest.mark.parametrize("name", ["prelu", "xielu", "gelu_10", "linear"])
def test_an_activation_starts_as_the_base_comes_back_and_is_counted(tiny, token_ids, tmp_path, name):
    base, method = tiny("bert", task_type="MASKED_LM"), Adapters(type="adapters", bottleneck_size=4, non_linearity=name, target_modules=["intermediate.dense"])
    plain = base(input_ids=token_ids).logits
    model = apply_method(base, method=method, task_type="MASKED_LM").eval()
    assert torch.equal(model(input_ids=token_ids).logits, plain)
    per_layer = method.parameters_at(in_features=32, out_features=base.config.intermediate_size, on_input=True)
    assert trainable_parameter_count(model) == 2 * per_layer
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    save_adapter(model, tmp_path)
    loaded = load_adapter(tiny("bert", task_type="MASKED_LM"), tmp_path).eval()
    assert torch.equal(loaded(input_ids=token_ids).logits, model(input_ids=token_ids).logits)
