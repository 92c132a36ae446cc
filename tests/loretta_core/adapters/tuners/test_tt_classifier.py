"""The tensorized classifier: trained, saved, restored, switched and merged like the rest of an adapter."""

from copy import deepcopy

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForSequenceClassification

from loretta_core.adapters import LorettaAdpConfig, LorettaRepConfig
from loretta_core.adapters.tuners.tt_classifier import TTHeadLinear
from loretta_core.sites import HEAD_LAYERS

CONFIGS = {
    "adp": lambda: LorettaAdpConfig(task_type="SEQ_CLS", tensor_rank=2, bottleneck_size=8, classifier_shape="auto"),
    "rep": lambda: LorettaRepConfig(task_type="SEQ_CLS", tensor_rank=2, r=4, classifier_shape="auto"),
}


@torch.no_grad()
def move(model):
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.1 * torch.randn_like(parameter))


def trains(model):
    return {name: module for name, module in model.named_modules() if isinstance(module, TTHeadLinear)}


@pytest.fixture(params=CONFIGS)
def make_config(request):
    return CONFIGS[request.param]


@pytest.mark.parametrize("model_type", HEAD_LAYERS)
def test_the_layer_of_each_architecture(tiny, token_ids, model_type, make_config):
    base = tiny(model_type)
    model = get_peft_model(deepcopy(base), make_config())
    assert len(trains(model)) == 1
    assert not [name for name, parameter in model.named_parameters() if parameter.requires_grad and name.endswith("dense.weight") and "modules_to_save" in name]
    model(input_ids=token_ids).logits.square().sum().backward()
    (layer,) = trains(model).values()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in layer.parameters())
    with model.disable_adapter():
        assert torch.equal(model.eval()(input_ids=token_ids).logits, base(input_ids=token_ids).logits)


@pytest.mark.parametrize("model_type", ["roberta", "deberta"])
def test_save_load_switch_and_delete(tiny, token_ids, tmp_path, model_type, make_config):
    base = tiny(model_type)
    model = get_peft_model(deepcopy(base), make_config(), adapter_name="first").eval()
    move(model)
    first = model(input_ids=token_ids).logits
    model.add_adapter("second", make_config())
    assert len(trains(model)) == 2
    model.set_adapter("second")
    move(model)
    second = model(input_ids=token_ids).logits
    assert not torch.equal(first, second)
    model.set_adapter("first")
    assert torch.equal(model(input_ids=token_ids).logits, first)
    model.save_pretrained(str(tmp_path), save_embedding_layers=False)

    loaded = PeftModel.from_pretrained(tiny(model_type), str(tmp_path / "first"), adapter_name="first").eval()
    assert torch.equal(loaded(input_ids=token_ids).logits, first)
    loaded.load_adapter(str(tmp_path / "second"), adapter_name="second")
    loaded.set_adapter("second")
    assert torch.equal(loaded(input_ids=token_ids).logits, second)
    loaded.delete_adapter("first")
    assert torch.equal(loaded(input_ids=token_ids).logits, second)


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_loading_onto_another_random_head(tiny, token_ids, tmp_path, make_config, low_cpu_mem_usage):
    model = get_peft_model(tiny("roberta"), make_config()).eval()
    move(model)
    model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    other = tiny("roberta")
    nn.init.normal_(other.classifier.dense.weight)
    nn.init.normal_(other.classifier.out_proj.weight)
    loaded = PeftModel.from_pretrained(other, str(tmp_path), low_cpu_mem_usage=low_cpu_mem_usage).eval()
    assert torch.equal(loaded(input_ids=token_ids).logits, model(input_ids=token_ids).logits)
    assert not [name for name, parameter in loaded.named_parameters() if parameter.requires_grad]


@pytest.mark.parametrize("model_type", ["roberta", "deberta-v2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_merging_gives_a_plain_model(tiny, token_ids, tmp_path, model_type, dtype):
    base = tiny(model_type).to(dtype)
    model = get_peft_model(deepcopy(base), CONFIGS["rep"]()).eval()
    move(model)
    logits = model(input_ids=token_ids).logits
    merged = model.merge_and_unload()
    assert not trains(merged)
    torch.testing.assert_close(merged(input_ids=token_ids).logits.float(), logits.float(), rtol=0, atol=1e-5 if dtype == torch.float32 else 5e-2)
    merged.save_pretrained(tmp_path)
    if dtype == torch.float32:
        again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
        assert torch.equal(again(input_ids=token_ids).logits, merged(input_ids=token_ids).logits)


@pytest.mark.parametrize("model_type", ["roberta", "deberta-v2"])
def test_a_bf16_base_trains_an_fp32_head(tiny, token_ids, model_type, make_config):
    model = get_peft_model(tiny(model_type).to(torch.bfloat16), make_config())
    logits = model(input_ids=token_ids).logits
    logits.float().square().sum().backward()
    (layer,) = trains(model).values()
    assert {parameter.dtype for parameter in layer.parameters()} == {torch.float32}
    assert all(parameter.grad.any() for parameter in layer.parameters())


def test_a_new_pooler_that_peft_saves_anyway_becomes_the_train(tiny, token_ids, tmp_path):
    tiny("deberta", task_type="MASKED_LM").save_pretrained(tmp_path / "base")
    base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base").eval()
    config = CONFIGS["adp"]()
    config.modules_to_save = ["pooler.dense"]
    model = get_peft_model(base, config).eval()
    assert len(trains(model)) == 1
    move(model)
    model.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=False)
    fresh = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base").eval()
    loaded = PeftModel.from_pretrained(fresh, str(tmp_path / "adapter")).eval()
    assert torch.equal(loaded(input_ids=token_ids).logits, model(input_ids=token_ids).logits)


@pytest.mark.parametrize(("chosen", "told"), [(None, True), ("dense", False), ("auto", False)])
def test_a_dense_layer_that_nobody_chose_is_told_with_its_size(tiny, chosen, told, caplog):
    model = tiny("roberta")
    width = model.config.hidden_size
    get_peft_model(model, LorettaRepConfig(task_type="SEQ_CLS", tensor_rank=2, r=4, classifier_shape=chosen))
    assert (f"{width * width + width:,} numbers of it are in the dense layer classifier.dense" in caplog.text) == told
