"""`target_parameters`: fused experts get updates as LoRA gives them, start as the base, train, merge and load again; with LoRA as the twin."""

from copy import deepcopy

import pytest
import torch
from peft import LoraConfig, PeftModel, convert_to_lora, get_peft_model
from peft.helpers import rescale_adapter_scale
from transformers import GptOssConfig, GptOssForCausalLM, MixtralConfig, MixtralForCausalLM

from loretta_core.adapters import LorettaRepConfig
from loretta_core.adapters.as_lora import as_lora
from loretta_core.adapters.tuners.fused_parameters import FusedParametersLayer
from loretta_core.errors import MethodError

NAMES = ["experts.gate_up_proj", "experts.down_proj"]
SIZES = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
MODELS = {
    "mixtral": lambda: MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=3, num_experts_per_tok=2)),
    "gpt_oss": lambda: GptOssForCausalLM(GptOssConfig(**SIZES, head_dim=8, num_local_experts=3, num_experts_per_tok=2, pad_token_id=0)),  # transposed
}


@pytest.fixture(params=MODELS)
def base(request):
    torch.manual_seed(0)
    return MODELS[request.param]().eval()


def config(**settings):
    own = {"target_parameters": NAMES, "target_modules": [], "train_norms": False, "r": 2, "tensor_rank": 3, **settings}
    return LorettaRepConfig(task_type="CAUSAL_LM", **own)


@torch.no_grad()
def moved(model):
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@torch.no_grad()
def logits(model, token_ids):
    return model(input_ids=token_ids).logits


def test_it_starts_as_the_base_and_every_core_gets_a_gradient(base, token_ids):
    plain = logits(base, token_ids)
    model = get_peft_model(deepcopy(base), config()).eval()
    torch.testing.assert_close(logits(model, token_ids), plain, atol=0, rtol=0)
    lora = get_peft_model(deepcopy(base), LoraConfig(r=2, target_parameters=NAMES, target_modules=[]))
    paths = [{name.split(".experts.")[0] for name, p in each.named_parameters() if p.requires_grad} for each in (model, lora)]
    assert paths[0] == paths[1]
    moved(model)(input_ids=token_ids).logits.square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in model.parameters() if parameter.requires_grad)
    assert not any(parameter.requires_grad for name, parameter in model.named_parameters() if "loretta_rep" not in name)


def test_merging_saving_and_disabling(base, token_ids, tmp_path):
    plain = logits(base, token_ids)
    model = moved(get_peft_model(deepcopy(base), config(train_norms=True)))
    adapted = logits(model, token_ids)
    assert (adapted - plain).abs().max() > 1e-3
    model.save_pretrained(str(tmp_path))
    torch.testing.assert_close(logits(PeftModel.from_pretrained(deepcopy(base), str(tmp_path)).eval(), token_ids), adapted, atol=0, rtol=0)
    with model.disable_adapter():
        torch.testing.assert_close(logits(model, token_ids), plain, atol=0, rtol=0)
    model.merge_adapter()
    torch.testing.assert_close(logits(model, token_ids), adapted, atol=1e-5, rtol=1e-5)
    model.unmerge_adapter()
    torch.testing.assert_close(logits(model, token_ids), adapted, atol=0, rtol=0)
    torch.testing.assert_close(logits(model.merge_and_unload(), token_ids), adapted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_update_of_an_expert_is_the_product_of_its_slices(base):
    model = moved(get_peft_model(base, config()))
    layer = next(module for module in model.modules() if isinstance(module, FusedParametersLayer))
    update = layer.blocks["default"].of["down_proj"]
    a_ERI, b_ORE = update.A.to_dense().reshape(3, 2, -1), update.B.to_dense().reshape(-1, 2, 3)
    for expert, delta in enumerate(update.delta()):
        expected = b_ORE[:, :, expert] @ a_ERI[expert]
        torch.testing.assert_close(delta, expected.t() if update.transposed else expected)
    assert update.delta().shape == layer.get_base_layer().down_proj.shape


@pytest.mark.filterwarnings("ignore:The following rank_pattern keys")  # PEFT counts modules only, for LoRA, too
def test_two_adapters_layers_and_scales(token_ids):
    torch.manual_seed(0)
    base = MODELS["mixtral"]().eval()
    plain = logits(base, token_ids)
    model = get_peft_model(base, config(layers_to_transform=[1], rank_pattern={"down_proj": 1}))
    block = model.base_model.model.model.layers[1].mlp.experts.blocks["default"]
    assert {name: update.A.shape.out_features for name, update in block.of.items()} == {"gate_up_proj": 6, "down_proj": 3}
    assert {name.split(".mlp.")[0] for name, p in model.named_parameters() if p.requires_grad} == {"base_model.model.model.layers.1"}
    model.add_adapter("two", config(target_parameters=["experts.down_proj"]))
    model.base_model.set_adapter(["default", "two"])
    both = logits(moved(model), token_ids)
    with rescale_adapter_scale(model, 0.0):
        torch.testing.assert_close(logits(model, token_ids), plain)
    model.merge_adapter()
    torch.testing.assert_close(logits(model, token_ids), both, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"target_parameters": ["experts.up_proj"]},
            r"\['experts.up_proj'\] matched no parameter; stacks of matrices there: experts.down_proj, experts.gate_up_proj",
        ),
        ({"lora_dropout": 0.1}, "expected lora_dropout = 0 and init_weights = 'zero'"),
        ({"init_weights": "subtract"}, "expected lora_dropout = 0"),
        ({"layers_to_transform": [4]}, "no target lies in a block number 4"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_anything_changes(settings, message):
    base = MODELS["mixtral"]()
    before = [path for path, _ in base.named_modules()]
    with pytest.raises(MethodError, match=message):
        get_peft_model(base, config(**settings))
    assert [path for path, _ in base.named_modules()] == before


def test_what_lora_does_not_do_either(token_ids):
    model = get_peft_model(MODELS["mixtral"](), config()).eval()
    with pytest.raises(MethodError, match="rows of fused experts"):
        model(input_ids=token_ids[:2], adapter_names=["default", "__base__"])
    with pytest.raises(MethodError, match="no weighted sum"):
        model.add_weighted_adapter(["default"], [1.0], "sum")
    with pytest.raises(MethodError, match="not written as LoRA yet"):
        as_lora(model)
    with pytest.raises(TypeError, match="FusedParametersLayer"):
        convert_to_lora(model, rank=2)
