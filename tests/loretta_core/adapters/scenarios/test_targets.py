"""Which layers get an adapter, on which side, and whose: lists, patterns, files of earlier versions, adapters of two types in one model."""

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from loretta_core.adapters import BottleneckConfig, LorettaAdpConfig, LorettaRepConfig
from loretta_core.adapters.build import load_adapter
from loretta_core.adapters.tuners.bitfit import BitfitConfig
from loretta_core.errors import MethodError


@torch.no_grad()
def move(model):
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def shapes(model):
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("config_cls", [LorettaAdpConfig, BottleneckConfig])
@pytest.mark.parametrize(("model_type", "names"), [("llama", ["gate_proj", "down_proj"]), ("bert", ["intermediate.dense", "attention.output.dense"])])
def test_a_pattern_is_the_list_that_it_stands_for(tiny, config_cls, model_type, names):
    pattern = r".*\.(" + "|".join(name.replace(".", r"\.") for name in names) + ")"
    by_list, by_pattern = (
        get_peft_model(tiny(model_type, task_type="MASKED_LM" if model_type == "bert" else "CAUSAL_LM"), config_cls(target_modules=targets))
        for targets in (names, pattern)
    )
    assert shapes(by_pattern) == shapes(by_list)
    sides = [model.peft_config["default"].input_modules for model in (by_list, by_pattern)]
    assert sides[0] == sides[1] != []


def test_the_side_of_a_square_is_the_saved_one(tiny, tmp_path):
    model = move(get_peft_model(tiny("bert", intermediate_size=32), BottleneckConfig(target_modules="all-linear", input_modules=["intermediate.dense"])))
    model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["input_modules"] == ["intermediate.dense"]
    with pytest.raises(MethodError, match=r"input_modules = \['fc1'\]: \['fc1'\] names none of the targeted layers: attention.output.dense, output.dense"):
        get_peft_model(tiny("bert"), BottleneckConfig(input_modules=["fc1"]))
    ids = torch.arange(3, 9)[None]
    loaded = PeftModel.from_pretrained(tiny("bert", intermediate_size=32), str(tmp_path)).eval()
    assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)


@pytest.mark.parametrize("config_cls", [LorettaAdpConfig, LorettaRepConfig])
def test_files_of_earlier_versions_load(tiny, tmp_path, config_cls):
    model = move(get_peft_model(tiny("bert"), config_cls(task_type="SEQ_CLS")))
    model.save_pretrained(str(tmp_path), save_embedding_layers=False)
    file, prefix = tmp_path / "adapter_model.safetensors", model.base_model.prefix
    state = load_file(file)
    earlier = {key.replace(f".{prefix}norm.", ".trainable_norm."): value for key, value in state.items()}
    assert earlier.keys() != state.keys()
    save_file(earlier, file)
    ids = torch.arange(3, 9)[None]
    for loaded in (PeftModel.from_pretrained(tiny("bert"), str(tmp_path)), load_adapter(tiny("bert"), tmp_path)):
        assert torch.equal(loaded.eval()(input_ids=ids).logits, model(input_ids=ids).logits)


def test_an_adapter_with_a_tensorized_head_loads_without_a_head(tiny, tmp_path):
    base = tiny("roberta")
    base.save_pretrained(tmp_path / "base")
    model = move(get_peft_model(type(base).from_pretrained(tmp_path / "base"), LorettaRepConfig(task_type="SEQ_CLS", classifier_shape="auto")))
    model.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=False)
    ids = torch.arange(3, 9)[None]
    whole = type(base).from_pretrained(tmp_path / "adapter").eval()
    assert torch.equal(whole(input_ids=ids).logits, model(input_ids=ids).logits)
    with pytest.warns(UserWarning, match="RobertaModel has no classification head"):
        body = AutoModel.from_pretrained(tmp_path / "adapter", add_pooling_layer=False).eval()
    assert torch.equal(body(input_ids=ids).last_hidden_state, model(input_ids=ids, output_hidden_states=True).hidden_states[-1])


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (LoraConfig(target_modules=["query"]), LorettaRepConfig(), "query has an adapter of another type"),
        (LorettaAdpConfig(), LorettaRepConfig(), "train_norms: an adapter of another type trains"),
        (LoraConfig(target_modules=["query"]), BitfitConfig(), "bitfit: the model has an adapter of another type"),
    ],
)
def test_adapters_of_two_types_do_not_share_a_layer_or_a_norm(tiny, first, second, message):
    model = tiny("bert", task_type="MASKED_LM")
    model.add_adapter(first)
    with pytest.raises(MethodError, match=message):
        model.add_adapter(second, "second")


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
def test_adapters_of_two_types_live_side_by_side(tiny):
    model = tiny("bert", task_type="MASKED_LM")
    model.add_adapter(LoraConfig(target_modules=["query"]))
    model.add_adapter(LorettaAdpConfig(), "second")
    assert all(".second." in name for name, parameter in model.named_parameters() if parameter.requires_grad)
    assert any(".loretta_adp_block.second." in name for name, _ in model.named_parameters())
