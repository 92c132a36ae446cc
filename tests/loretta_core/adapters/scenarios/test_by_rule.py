"""Methods attach by the structural rule, to models of every architecture that the list names; those of pictures and sound train here.

Those that read text are trained, saved and loaded by the laws (`tests/laws/test_methods.py`); that the rule finds the layers in the table of
`loretta_core/README.md` is tested with that (`tests/structure/test_architectures.py`).
"""

from copy import deepcopy

import pytest
import torch
from peft import PeftModel, VeraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from loretta_core.adapters.build import apply_method
from loretta_core.adapters.tuners.backbone.norms import is_norm
from loretta_core.adapters.tuners.bottleneck import BottleneckConfig
from loretta_core.adapters.tuners.bottleneck_base import BottleneckLayer
from loretta_core.adapters.tuners.loretta_adp import LorettaAdpConfig
from loretta_core.adapters.tuners.loretta_rep import LorettaRepConfig
from loretta_core.adapters.tuners.trainable_norms import TrainableNorm
from loretta_core.config.method import Ia3, Lora, Peft
from loretta_core.errors import MethodError
from loretta_core.sites import BY_RULE
from tests import by_rule

ALONE = ("lm_head", "score", "classifier", "embed", "gate", "router", "experts", "projector", "projection", "pooler")
"""Last components of paths, or the beginning of one, that no method attaches to."""
QUICK = ("gpt_oss", "nomic_bert", "clip")
POOLING = "vision_tower.head."
"""Gemma 3's pooling of pictures is built like a block, and its layers are named like those of one."""
WITHOUT_EXPERTS = ("mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3")
pytestmark = pytest.mark.filterwarnings("ignore:.*are 3-D parameters and no linear layers:UserWarning")


def attached(model):
    return {path: layer for path, layer in model.named_modules() if isinstance(layer, BaseTunerLayer) and not isinstance(layer, TrainableNorm)}


@pytest.mark.parametrize("model_type", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in BY_RULE])
def test_every_method_finds_layers_of_blocks(model_type):
    with torch.device("meta"):
        base = by_rule.build(model_type)
        norms = sum(map(is_norm, base.modules()))
        models = [get_peft_model(deepcopy(base), config) for config in (LorettaAdpConfig(bottleneck_size=8), LorettaRepConfig(r=4, tensor_rank=2))]
        models += [apply_method(deepcopy(base), method=method, task_type="MASKED_LM") for method in (Lora(type="lora"), Ia3(type="ia3"))]
    for model in models:
        layers = attached(model)
        assert layers
        assert all(any(part.isdigit() for part in path.split(".")) or POOLING in path for path in layers)
        assert not [path for path in layers if path.rpartition(".")[2] in ALONE]
    assert all(sum(isinstance(module, TrainableNorm) for module in model.modules()) == norms for model in models[:2])


def test_an_adapter_sits_on_the_side_of_the_stream():
    model = get_peft_model(by_rule.build("phi3"), BottleneckConfig(bottleneck_size=8))
    sides = {path.rpartition(".")[2]: (layer.on_input, layer.width) for path, layer in attached(model).items() if isinstance(layer, BottleneckLayer)}
    assert sides == {"gate_up_proj": (True, 32), "down_proj": (False, 32)}


@pytest.mark.parametrize("model_type", WITHOUT_EXPERTS)
def test_experts_that_are_left_out_are_said(model_type):
    with torch.device("meta"):
        base = by_rule.build(model_type)
    with pytest.warns(UserWarning, match=f"loretta_rep: the weights of `experts` in this {model_type} are 3-D parameters and no linear layers"):
        get_peft_model(base, LorettaRepConfig(r=4))


def test_a_method_of_peft_without_a_default_takes_the_layers_of_lora():
    model = apply_method(by_rule.build("olmo2"), method=Peft(type="peft", peft_type="VERA", r=4), task_type="CAUSAL_LM")
    assert {path.rpartition(".")[2] for path in attached(model)} == {"q_proj", "v_proj"}
    known = get_peft_model(LlamaForCausalLM(LlamaConfig(**by_rule.CONFIGS["olmo"])), VeraConfig(r=4))
    assert {path.rpartition(".")[2] for path in attached(known)} == {"q_proj", "v_proj"}


def test_a_model_without_blocks_says_what_there_is():
    model = by_rule.build("olmo2")
    model.model.layers = nn.ModuleList()
    with pytest.raises(MethodError, match=r"loretta_rep: no attention or feed-forward block was found in a model of the type 'olmo2'.*linear layers: lm_head"):
        get_peft_model(model, LorettaRepConfig())


INPUTS = {
    "vit": lambda: {"pixel_values": torch.rand(2, 3, 16, 16), "interpolate_pos_encoding": False},
    "whisper": lambda: {"input_features": torch.rand(2, 8, 20), "decoder_input_ids": torch.tensor([[1, 5, 6]] * 2)},
    "clip": lambda: {"input_ids": torch.tensor([[1, 5, 6, 2]] * 2), "pixel_values": torch.rand(2, 3, 16, 16)},
    "llava": lambda: {"input_ids": torch.tensor([[1, *[3] * 4, 5]] * 2), "pixel_values": torch.rand(2, 3, 16, 16)},
    "gemma3": lambda: {
        "input_ids": torch.tensor([[1, *[3] * 4, 5]] * 2),
        "pixel_values": torch.rand(2, 3, 16, 16),
        "token_type_ids": torch.tensor([[0, *[1] * 4, 0]] * 2),
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("config", [LorettaAdpConfig(bottleneck_size=8, tensor_rank=2), LorettaRepConfig(r=4, tensor_rank=2)], ids=["adp", "rep"])
@pytest.mark.parametrize("model_type", INPUTS)
def test_models_of_pictures_and_sound_train_and_reload(tmp_path, model_type, config):
    torch.manual_seed(0)
    base, inputs = by_rule.build(model_type).eval(), INPUTS[model_type]()
    model = get_peft_model(deepcopy(base), deepcopy(config))
    before = outputs(model, inputs)
    assert torch.equal(before, outputs(base, inputs))
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        outputs(model, inputs, gradient=True).square().mean().backward()
        optimizer.step()
    trained = outputs(model, inputs)
    assert not torch.equal(trained, before)
    model.save_pretrained(tmp_path)
    assert torch.equal(outputs(PeftModel.from_pretrained(deepcopy(base), tmp_path), inputs), trained)


def outputs(model, inputs, *, gradient=False):
    with torch.set_grad_enabled(gradient):
        found = model.eval()(**inputs)
    return found.logits_per_image if hasattr(found, "logits_per_image") else found.logits
