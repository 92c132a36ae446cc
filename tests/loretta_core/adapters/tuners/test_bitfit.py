"""BitFit refuses models whose kernels read biases past the layers that hold them; the refusal is needed."""

import pytest
import torch
from peft import get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from loretta_core.adapters.tuners import bitfit
from loretta_core.adapters.tuners.bitfit import BitfitConfig
from loretta_core.errors import MethodError

_SMALL = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 16}
_STATE = {"mamba_n_heads": 2, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 4}
HYBRIDS = {
    "mamba2": {"num_heads": 2, "head_dim": 16, "state_size": 4, "n_groups": 1, "chunk_size": 4},
    "falcon_h1": {**_STATE, "mamba_d_ssm": 16, "head_dim": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 1, "mamba_d_state": 4, "mamba_dt_rank": 4},
}


@pytest.mark.filterwarnings("ignore")  # of the libraries: kernels that are not installed
@pytest.mark.parametrize("model_type", HYBRIDS)
def test_biases_that_are_read_past_their_layers_are_refused(model_type, monkeypatch):
    config = AutoConfig.for_model(model_type, **_SMALL, **HYBRIDS[model_type], pad_token_id=0, bos_token_id=1, eos_token_id=2)
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(MethodError, match=rf"bitfit: \w+ is {model_type}, and its mixers read biases past the layers"):
        get_peft_model(model, BitfitConfig())
    monkeypatch.setattr(bitfit, "STATE_SPACE", ())
    adapted = get_peft_model(AutoModelForCausalLM.from_config(config), BitfitConfig())
    ids = torch.tensor([[5, 6, 7, 8]])
    before = adapted(input_ids=ids, use_cache=False).logits
    convolutions = [value for name, value in adapted.named_parameters() if "conv1d.bitfit_block" in name]
    with torch.no_grad():
        for bias in convolutions:
            bias += 1.0
    assert convolutions
    assert torch.equal(adapted(input_ids=ids, use_cache=False).logits, before)
