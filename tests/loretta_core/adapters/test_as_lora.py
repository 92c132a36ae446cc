"""loretta_rep as LoRA: the same logits from a process that knows nothing of this project, for every kind of base, start and head."""

import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from peft import PeftModel, convert_to_lora, get_peft_model, set_peft_model_state_dict
from safetensors.torch import save_file

from loretta_core.adapters import LorettaAdpConfig, LorettaRepConfig
from loretta_core.adapters.as_lora import as_lora
from loretta_core.errors import MethodError

CASES = {
    "decoder": ("llama", "CAUSAL_LM", {}),
    "own ranks": ("llama", "CAUSAL_LM", {"use_rslora": True, "rank_pattern": {"q_proj": 3}, "alpha_pattern": {r"layers\.1\.self_attn\.v_proj": 5}}),
    "subtracted start": ("llama", "CAUSAL_LM", {"init_weights": "subtract", "use_rslora": True, "rank_pattern": {"q_proj": 3}, "tensor_rank": 2}),
    "some layers": ("llama", "CAUSAL_LM", {"layers_to_transform": [1], "lora_dropout": 0.1, "shape": "auto"}),
    "transposed": ("gpt2", "CAUSAL_LM", {}),
    "head": ("bert", "SEQ_CLS", {"train_norms": False}),
    "tensorized head": ("roberta", "SEQ_CLS", {"classifier_shape": "auto"}),
    "tensorized pooler": ("deberta-v2", "SEQ_CLS", {"classifier_shape": "auto"}),
}


@torch.no_grad()
def trained(base, *, task_type, **settings):
    model = get_peft_model(deepcopy(base), LorettaRepConfig(task_type=task_type, **{"train_norms": False, **settings})).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_peft_computes_the_same_with_lora(tiny, token_ids, tmp_path, case):
    model_type, task_type, settings = CASES[case]
    base = tiny(model_type, task_type=task_type)
    model = trained(base, task_type=task_type, **settings)
    expected, plain = model(input_ids=token_ids).logits, base(input_ids=token_ids).logits
    found = as_lora(model)
    found.save(tmp_path)
    loaded = PeftModel.from_pretrained(deepcopy(base), str(tmp_path)).eval()
    assert loaded.peft_config["default"].peft_type == "LORA"
    assert (expected - plain).abs().max() > 0.01
    torch.testing.assert_close(loaded(input_ids=token_ids).logits, expected, atol=1e-5, rtol=1e-5)
    assert bool(found.heads) == (task_type == "SEQ_CLS")
    torch.testing.assert_close(model(input_ids=token_ids).logits, expected, atol=0, rtol=0)


STRANGER = """
import sys, torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification
base = AutoModelForSequenceClassification.from_pretrained(sys.argv[1] + "/base")
model = PeftModel.from_pretrained(base, sys.argv[1] + "/lora").eval()
assert not [name for name in sys.modules if name.startswith("loretta")]
batch = load_file(sys.argv[1] + "/batch.safetensors")
torch.testing.assert_close(model(input_ids=batch["ids"]).logits, batch["logits"], atol=1e-5, rtol=1e-5)
"""


@pytest.mark.integration
@torch.no_grad()
def test_a_process_without_this_project_loads_it(tiny, token_ids, tmp_path):
    base = tiny("roberta")
    base.save_pretrained(tmp_path / "base")
    model = trained(base, task_type="SEQ_CLS", classifier_shape="auto")
    as_lora(model).save(tmp_path / "lora")
    save_file({"ids": token_ids, "logits": model(input_ids=token_ids).logits}, tmp_path / "batch.safetensors")
    done = subprocess.run([sys.executable, "-c", STRANGER, str(tmp_path)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False")  # PEFT's conversion leaves that to the layer
@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
@torch.no_grad()
def test_pefts_own_conversion(tiny, token_ids, model_type):
    base = tiny(model_type, task_type="CAUSAL_LM")
    model = trained(base, task_type="CAUSAL_LM", r=4)
    config, state = convert_to_lora(model, rank=4)
    converted = get_peft_model(deepcopy(base), config).eval()
    set_peft_model_state_dict(converted, state)
    torch.testing.assert_close(converted(input_ids=token_ids).logits, model(input_ids=token_ids).logits, atol=1e-5, rtol=1e-5)


def test_a_scale_that_was_set_goes_along(tiny, token_ids, tmp_path):
    base = tiny("llama", task_type="CAUSAL_LM")
    model = trained(base, task_type="CAUSAL_LM")
    for module in model.modules():
        if hasattr(module, "set_scale"):
            module.set_scale("default", 0.5)
    as_lora(model).save(tmp_path)
    loaded = PeftModel.from_pretrained(base, str(tmp_path)).eval()
    torch.testing.assert_close(loaded(input_ids=token_ids).logits, model(input_ids=token_ids).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "adapter", "message"),
    [
        (LorettaRepConfig(task_type="CAUSAL_LM"), "default", r"trained norms are no part of a LoRA adapter \(model.*train_norms = false.*merge"),
        (LorettaAdpConfig(task_type="CAUSAL_LM"), "default", "an adapter of type LORETTA_ADP: only LORETTA_REP"),
        (LorettaRepConfig(task_type="CAUSAL_LM"), "other", "'other' is no adapter"),
    ],
)
def test_what_is_no_lora_is_refused(tiny, config, adapter, message):
    with pytest.raises(MethodError, match=message):
        as_lora(get_peft_model(tiny("llama", task_type="CAUSAL_LM"), config), adapter=adapter)


def test_trained_norms_are_refused_by_pefts_conversion_too(tiny):
    model = get_peft_model(tiny("llama", task_type="CAUSAL_LM"), LorettaRepConfig(task_type="CAUSAL_LM"))
    with pytest.raises(TypeError, match="TrainableNorm"):
        convert_to_lora(model, rank=4)
