"""An update that is a matrix becomes LoRA through PEFT's own conversion: exactly, where its rank is at most LoRA's."""

import pytest
import torch
from peft import convert_to_lora, get_peft_model, set_peft_model_state_dict

from loretta_core.adapters.tuners.tensor_family.lorta import LortaConfig
from loretta_core.adapters.tuners.tensor_family.metatt import MetaTTConfig
from loretta_core.adapters.tuners.tensor_family.tensorguide import TensorGuideConfig
from loretta_core.adapters.tuners.tensor_family.tt_lora import TTLoraConfig


@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
@torch.no_grad()
@pytest.mark.parametrize("model_type", ["bert", "gpt2"])  # gpt2 stores its weights transposed
@pytest.mark.parametrize("config_cls", [MetaTTConfig, LortaConfig, TensorGuideConfig, TTLoraConfig], ids=lambda cls: cls.__name__)
def test_peft_converts_it_to_lora(tiny, token_ids, config_cls, model_type):
    base = tiny(model_type, task_type="MASKED_LM" if model_type == "bert" else "CAUSAL_LM")
    model = get_peft_model(base, config_cls()).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.1 * torch.randn_like(parameter))
    expected = model(input_ids=token_ids).logits
    config, state = convert_to_lora(model, rank=32)
    lora = get_peft_model(model.unload(), config).eval()
    set_peft_model_state_dict(lora, state)
    torch.testing.assert_close(lora(input_ids=token_ids).logits, expected, rtol=0, atol=1e-5)
