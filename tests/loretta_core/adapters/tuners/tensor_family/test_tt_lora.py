"""TT-LoRA's counts, and DoTA's start: a train from the base's weight, which changes nothing until it is trained."""

from copy import deepcopy

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn

from loretta_core import TTLoraConfig, tt_svd
from loretta_core.adapters.tuners.tensor_family.tt_lora import TTLoraLayer, TTUpdate
from loretta_core.errors import MethodError


def test_the_update_has_the_parameters_of_one_train(tiny):
    model = get_peft_model(tiny("bert", task_type="MASKED_LM"), TTLoraConfig(tensor_rank=2, shape=[4, 8, 8, 4], target_modules=["query"]))
    counts = [parameter.numel() for parameter in model.parameters() if parameter.requires_grad]
    assert sum(counts) == 2 * (4 * 2 + 2 * 8 * 2 + 2 * 8 * 2 + 2 * 4)


@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
def test_dota_starts_at_the_train_nearest_to_the_weight(tiny, token_ids, model_type):
    base = tiny(model_type)
    model = get_peft_model(deepcopy(base), TTLoraConfig(tensor_rank=4, alpha=2.0, init_weights="tt_svd", task_type="SEQ_CLS")).eval()
    layer = next(module for module in model.modules() if isinstance(module, TTLoraLayer))
    block = layer.blocks["default"]
    weight_OI = layer.get_base_weight() if model_type == "bert" else layer.get_base_weight().t()
    nearest = tt_svd(weight_OI, shape=block.tensor.shape)
    found = 2.0 * block.tensor.to_dense().detach()
    assert float((weight_OI - found).norm()) <= nearest.error_bound * 1.001
    assert float(found.norm()) > 0.1 * float(weight_OI.norm())
    assert torch.equal(model(input_ids=token_ids).logits, base(input_ids=token_ids).logits)


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_a_trained_dota_reloads_and_merges(tiny, token_ids, tmp_path, low_cpu_mem_usage):
    base = tiny("bert")
    model = get_peft_model(deepcopy(base), TTLoraConfig(tensor_rank=3, init_weights="tt_svd", task_type="SEQ_CLS")).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "tt_lora_block" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    tuned = model(input_ids=token_ids).logits
    model.save_pretrained(str(tmp_path))
    loaded = PeftModel.from_pretrained(deepcopy(base), str(tmp_path), low_cpu_mem_usage=low_cpu_mem_usage).eval()
    assert torch.equal(loaded(input_ids=token_ids).logits, tuned)
    torch.testing.assert_close(model.merge_and_unload()(input_ids=token_ids).logits, tuned, rtol=0, atol=1e-5)


def test_what_is_no_weight_matrix_is_not_decomposed():
    packed = torch.zeros(512, 1, dtype=torch.uint8)  # what a 4-bit layer holds
    with pytest.raises(MethodError, match="quantized"):
        TTUpdate(in_features=32, out_features=32, config=TTLoraConfig(init_weights="tt_svd"), weight_OI=packed)


def test_settings_that_do_not_fit_are_refused(tiny):
    with pytest.raises(MethodError, match="init_weights = 'random'; expected one of zero, tt_svd"):
        TTLoraConfig(init_weights="random")
    with pytest.raises(MethodError, match="shape = 'paper'; expected 'auto' or a list"):
        TTLoraConfig(shape="paper")
    base = tiny("bert", task_type="MASKED_LM")
    with pytest.raises(MethodError, match="multiplies to"):
        get_peft_model(base, TTLoraConfig(shape=[4, 4], target_modules=["query"]))
    assert not any(isinstance(module, TTLoraLayer) for module in base.modules())
    assert isinstance(base.bert.encoder.layer[0].attention.self.query, nn.Linear)
