"""Merging into quantized bases, with LoRA as the twin: the same update, and an error no larger than LoRA's rounding; what cannot be merged stays as it is."""

from importlib.util import find_spec

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, TorchAoConfig

from loretta_core.adapters import LorettaRepConfig
from loretta_core.adapters.as_lora import as_lora
from loretta_core.adapters.build import load_adapter
from loretta_core.adapters.common.quantized import check_requantization
from loretta_core.errors import MethodError

INSTALL = "needs bitsandbytes and torchao: pip install -c constraints.txt -e '.[quantized]'"
needs_libraries = pytest.mark.skipif(find_spec("bitsandbytes") is None or find_spec("torchao") is None, reason=INSTALL)
# Both libraries warn at import and in their own operations, and PEFT at every merge into bitsandbytes.
pytestmark = pytest.mark.filterwarnings("ignore")


def torchao(name, **settings):
    from torchao import quantization

    return TorchAoConfig(getattr(quantization, name)(**settings))


FORMATS = {
    "8 bit": lambda: BitsAndBytesConfig(load_in_8bit=True),
    "4 bit": lambda: BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
    "int8": lambda: torchao("Int8WeightOnlyConfig"),
    "int4": lambda: torchao("IntxWeightOnlyConfig", weight_dtype=torch.int4),
}


@pytest.fixture
def quantized(tiny, tmp_path):
    """Return `quantized("8 bit", dtype)` → the same small decoder, quantized as it is loaded."""
    tiny("llama", task_type="CAUSAL_LM", hidden_size=64, intermediate_size=64, head_dim=16).save_pretrained(tmp_path / "base")
    return lambda kind, dtype: AutoModelForCausalLM.from_pretrained(tmp_path / "base", quantization_config=FORMATS[kind](), dtype=dtype).eval()


@torch.no_grad()
def trained(base, **settings):
    targets = ["q_proj", "down_proj", *settings.pop("also", [])]
    model = get_peft_model(base, LorettaRepConfig(task_type="CAUSAL_LM", target_modules=targets, **settings)).eval()
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@torch.no_grad()
def logits(model, token_ids):
    return model(input_ids=token_ids).logits.float()


@needs_libraries
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", FORMATS)
def test_merged_as_lora_is(quantized, token_ids, tmp_path, kind, dtype):
    model = trained(quantized(kind, dtype), train_norms=False)
    as_lora(model).save(tmp_path / "lora")
    lora = PeftModel.from_pretrained(quantized(kind, dtype), str(tmp_path / "lora")).eval()
    errors = []
    for each in (lora, model):
        adapted = logits(each, token_ids)
        each.merge_adapter()
        errors.append((logits(each, token_ids) - adapted).norm())
    with model.disable_adapter():
        effect = (logits(model, token_ids) - adapted).norm()
    assert errors[1] < 1.05 * errors[0]
    assert errors[1] < 0.5 * effect


@needs_libraries
@pytest.mark.parametrize("kind", FORMATS)
def test_merging_back_and_for_good(quantized, token_ids, kind):
    model = trained(quantized(kind, torch.bfloat16), also=["lm_head"])  # norms and the head are not quantized
    adapted = logits(model, token_ids)
    model.merge_adapter(safe_merge=True)
    merged = logits(model, token_ids)
    model.unmerge_adapter()
    torch.testing.assert_close(logits(model, token_ids), adapted, atol=0, rtol=0)
    model.merge_adapter()
    torch.testing.assert_close(logits(model, token_ids), merged, atol=0, rtol=0)
    model.unmerge_adapter()
    kinds = {name: type(parameter) for name, parameter in model.get_base_model().named_parameters() if "loretta" not in name}
    plain = model.merge_and_unload(safe_merge=True)
    torch.testing.assert_close(logits(plain, token_ids), merged, atol=0, rtol=0)
    assert {name: type(parameter) for name, parameter in plain.named_parameters()} == {name.replace(".base_layer", ""): kind for name, kind in kinds.items()}


@needs_libraries
def test_a_broken_adapter_is_not_merged(quantized, token_ids):
    model = trained(quantized("4 bit", torch.float32), train_norms=False)
    adapted_with_nan = model.base_model.model.model.layers[0].self_attn.q_proj
    with torch.no_grad():
        adapted_with_nan.blocks["default"].B.cores[0].fill_(float("nan"))
    with pytest.raises(MethodError, match="not finite"):
        model.merge_adapter(safe_merge=True)
    assert not adapted_with_nan.merged


@needs_libraries
def test_strict_loading_onto_a_quantized_base(quantized, token_ids, tmp_path):
    model = trained(quantized("8 bit", torch.float32))
    model.save_pretrained(str(tmp_path / "adapter"))
    loaded = load_adapter(quantized("8 bit", torch.float32), tmp_path / "adapter").eval()
    torch.testing.assert_close(logits(loaded, token_ids), logits(model, token_ids), atol=0, rtol=0)


class Float8Linear(nn.Linear):
    """A layer as libraries store them that PEFT cannot quantize again."""

    def __init__(self, like: nn.Linear) -> None:
        super().__init__(like.in_features, like.out_features, bias=False)
        self.weight = nn.Parameter(like.weight.detach().to(torch.float8_e4m3fn), requires_grad=False)

    def forward(self, x):
        return x @ self.weight.to(x.dtype).t()


def test_other_formats_train_and_are_not_merged(tiny, token_ids):
    base = tiny("llama", task_type="CAUSAL_LM")
    for layer in base.model.layers:
        layer.self_attn.q_proj = Float8Linear(layer.self_attn.q_proj)
    model = trained(base, also=["v_proj"])
    adapted = logits(model, token_ids)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for merge in (model.merge_adapter, model.merge_and_unload):
        with pytest.raises(MethodError, match=r"quantized layer model.layers.0.self_attn.q_proj .*Float8Linear.*Nothing was changed. Load the base without"):
            merge()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    torch.testing.assert_close(logits(model, token_ids), adapted, atol=0, rtol=0)


@needs_libraries
def test_torchao_without_its_config_is_not_merged(quantized):
    base = quantized("int8", torch.float32)
    del base.hf_quantizer
    with pytest.raises(MethodError, match="without a TorchAoConfig of transformers"):
        trained(base).merge_adapter()


def test_a_base_that_is_not_quantized_has_nothing_to_check(tiny):
    check_requantization(trained(tiny("llama", task_type="CAUSAL_LM")))
