"""`{type = "peft", …}`: every method that may be named builds, trains, and comes back from disk; what does not fit is said in our words."""

from copy import deepcopy

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from loretta_core.adapters.build import apply_method, load_adapter, save_adapter
from loretta_core.config.method import Ia3, Lora, Peft
from loretta_core.errors import MethodError
from loretta_core.methods.peft_types import PEFT_TYPES

SIZES = {
    "vocab_size": 40,
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}
MODELS = {"bert": (AutoModelForSequenceClassification, "SEQ_CLS"), "llama": (AutoModelForCausalLM, "CAUSAL_LM")}
FIELDS = {
    "ADAPTION_PROMPT": {"adapter_len": 3, "adapter_layers": 1},
    "BOFT": {"boft_block_size": 4},
    "C3A": {"block_size": 16},
    "FOURIERFT": {"n_frequency": 32},
    "MISS": {"r": 8},
    "OFT": {"oft_block_size": 8},
    "ROAD": {"group_size": 16},
    "SHIRA": {"r": 4},
    "TRAINABLE_TOKENS": {"token_indices": [5, 6]},
    "VBLORA": {"vector_length": 16, "num_vectors": 16},
    "WAVEFT": {"n_frequency": 64},
}
"""Where PEFT's defaults ask for wider models than this one."""
REFUSED = {
    ("bert", "ADAPTION_PROMPT"): "AdaptionPromptConfig of PEFT trains no classification head",
    ("bert", "TRAINABLE_TOKENS"): "TrainableTokensConfig of PEFT trains no classification head",
    ("bert", "LN_TUNING"): "LN_TUNING does not fit BertForSequenceClassification: Please specify `target_modules`",
}


def tiny(model_type):
    torch.manual_seed(0)
    return MODELS[model_type][0].from_config(AutoConfig.for_model(model_type, **SIZES)).eval()


def method(peft_type, **fields):
    return Peft(type="peft", peft_type=peft_type, **fields)


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("model_type", "peft_type"), [(model_type, name) for model_type in MODELS for name in PEFT_TYPES if (model_type, name) not in REFUSED])
def test_every_method_trains_and_reloads(model_type, peft_type, tmp_path):
    base, chosen = tiny(model_type), method(peft_type, **FIELDS.get(peft_type, {}))
    model = apply_method(deepcopy(base), method=chosen, task_type=MODELS[model_type][1]).eval()
    ids_BL = torch.randint(3, 40, (3, 6))
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        model(input_ids=ids_BL).logits.square().sum().backward()
        optimizer.step()
    save_adapter(model, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix not in (".json", ".md")] == [".safetensors"]
    loaded = load_adapter(deepcopy(base), method=chosen, directory=tmp_path).eval()
    with torch.no_grad():
        tuned = model(input_ids=ids_BL).logits
        assert not torch.allclose(tuned, base(input_ids=ids_BL).logits, atol=1e-4)
        torch.testing.assert_close(loaded(input_ids=ids_BL).logits, tuned, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("model_type", "peft_type"), REFUSED)
def test_what_does_not_fit_is_refused(model_type, peft_type):
    with pytest.raises(MethodError, match=REFUSED[model_type, peft_type]):
        apply_method(tiny(model_type), method=method(peft_type, **FIELDS.get(peft_type, {})), task_type=MODELS[model_type][1])


def test_an_unknown_field_lists_those_that_exist():
    with pytest.raises(
        MethodError, match=r"method.vera_dropot: VeraConfig of PEFT has no such field. Did you mean 'vera_dropout'\? Its fields: .*r, target_modules"
    ):
        apply_method(tiny("bert"), method=method("VERA", vera_dropot=0.1), task_type="SEQ_CLS")


@pytest.mark.parametrize("field", ["modules_to_save", "task_type", "base_model_name_or_path"])
def test_bookkeeping_fields_are_not_for_users(field):
    with pytest.raises(MethodError, match=f"method.{field}: VeraConfig of PEFT has no such field"):
        apply_method(tiny("bert"), method=method("VERA", **{field: ["x"]}), task_type="SEQ_CLS")


def test_a_value_that_peft_refuses_is_a_method_error():
    with pytest.raises(MethodError, match=r"PEFT's VERA does not fit BertForSequenceClassification: .*target_modules"):
        apply_method(tiny("bert"), method=method("VERA", target_modules=["nowhere"]), task_type="SEQ_CLS")
    with pytest.raises(MethodError, match="refuses these settings"):
        apply_method(tiny("bert"), method=method("LOHA", layers_pattern="layer"), task_type="SEQ_CLS")


@pytest.mark.parametrize("chosen", [Lora(type="lora", target_modules=["nowhere"]), Ia3(type="ia3", target_modules=["nowhere"])], ids=lambda chosen: chosen.type)
def test_peft_methods_of_ours_name_the_layers_that_exist(chosen):
    model = tiny("llama")
    before = [type(module) for module in model.modules()]
    with pytest.raises(MethodError, match=rf"{chosen.type}: target_modules=\['nowhere'\].*names there: self_attn.q_proj, .*mlp.down_proj"):
        apply_method(model, method=chosen, task_type="CAUSAL_LM")
    assert [type(module) for module in model.modules()] == before


def test_ia3_feedforward_modules_are_targets():
    with pytest.raises(ValueError, match=r"feedforward_modules \['fc2'\] are not in target_modules = \['k'\]"):
        Ia3(type="ia3", target_modules=["k"], feedforward_modules=["fc2"])
    with pytest.raises(ValueError, match="target_modules = None"):
        Ia3(type="ia3", feedforward_modules=["fc2"])
