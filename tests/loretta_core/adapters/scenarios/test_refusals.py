"""Settings and files that do not fit: one clear message, the model as it was."""

import json
from copy import deepcopy

import pytest
import torch
from peft import get_peft_model
from transformers import BertConfig, BertForSequenceClassification

from loretta_core.adapters import BottleneckConfig, LorettaAdpConfig, LorettaRepConfig
from loretta_core.adapters.build import apply_method, load_adapter, save_adapter, trainable_parameter_count
from loretta_core.config.method import Adapters, Ft, Lora, LorettaAdp, LorettaRep
from loretta_core.errors import MethodError, OutputError

ADP = LorettaAdp(type="loretta_adp", tensor_rank=2, bottleneck_size=8)


def unchanged(model, before):
    return [type(module) for module in model.modules()] == [type(module) for module in before.modules()] and all(
        torch.equal(left, right) and left.requires_grad == right.requires_grad for left, right in zip(model.parameters(), before.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    "method",
    [
        LorettaAdp(type="loretta_adp", target_modules=["output.dense", "q_prj"]),
        LorettaRep(type="loretta_rep", target_modules=["q_prj"]),
        Lora(type="lora", target_modules=["q_prj"]),
        Adapters(type="adapters", target_modules=["q_prj"]),
    ],
    ids=lambda method: method.type,
)
def test_an_unmatched_target_names_what_exists(tiny, method):
    model = tiny("bert")
    before = deepcopy(model)
    with pytest.raises(
        MethodError, match=rf"{method.type}: target_modules=\[.*\]: \['q_prj'\] matched no Linear in bert; names there: attention.self.query, .*output.dense"
    ):
        apply_method(model, method=method, task_type="SEQ_CLS")
    assert unchanged(model, before)


@pytest.mark.parametrize("method", [ADP, LorettaRep(type="loretta_rep"), Lora(type="lora"), Adapters(type="adapters")], ids=lambda method: method.type)
def test_an_unknown_architecture_needs_targets(tiny, method):
    newcomer = type("NewcomerConfig", (BertConfig,), {"model_type": "newcomer"})
    model = BertForSequenceClassification(newcomer.from_dict(tiny("bert").config.to_dict()))
    with pytest.raises(MethodError, match=rf"{method.type}: no sites are known for the architecture 'newcomer'; set `target_modules`.*attention.self.query"):
        apply_method(model, method=method, task_type="SEQ_CLS")
    explicit = apply_method(model, method=method.model_copy(update={"target_modules": ["attention.output.dense"]}), task_type="SEQ_CLS")
    assert len([name for name, _ in explicit.named_modules() if name.endswith("attention.output.dense")]) == 2


def test_junk_that_is_written_later_is_refused_before_the_model_changes(tiny):
    model, config = tiny("bert"), LorettaRepConfig()
    before = deepcopy(model)
    config.r = 0
    with pytest.raises(MethodError, match="r = 0"):
        get_peft_model(model, config)
    assert unchanged(model, before)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (LorettaRepConfig(shape="paper"), "shape = 'paper': the paper and its code have no modes for 32 x 8; widths: 768, .*Take shape = 'auto'"),
        (LorettaRepConfig(classifier_shape="auto", task_type="SEQ_CLS"), "classifier_shape = 'auto': bert with task_type SEQ_CLS .*: roberta, "),
        (LorettaAdpConfig(shape=[8, 8, 12]), r"shape = \[8, 8, 12\] multiplies to 768, but the matrix is 32 x 64"),
        (
            LorettaAdpConfig(target_modules=".*nothing"),
            "target_modules='.*nothing', a regular expression, matches no path; Linears there: attention.self.query",
        ),
        (LorettaAdpConfig(target_modules=r".*\.LayerNorm"), "LayerNorm and not a Linear"),
        (LorettaRepConfig(target_modules=["attention"]), r"\['attention'\] matched no Linear"),
    ],
)
def test_settings_that_do_not_fit_leave_the_model_as_it_was(tiny, config, message):
    model = tiny("bert")
    before = deepcopy(model)
    with pytest.raises(ValueError, match=message):
        get_peft_model(model, config)
    assert unchanged(model, before)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (LorettaAdpConfig(classifier_shape=[32, 31], task_type="SEQ_CLS"), r"shape = \[32, 31\] multiplies to 992, but the matrix is 32 x 32"),
        (LorettaAdpConfig(classifier_shape="paper", task_type="SEQ_CLS"), "no modes for 32 x 32"),
        (LorettaAdpConfig(classifier_shape="auto", task_type="TOKEN_CLS"), "classifier_shape = 'auto': roberta with task_type TOKEN_CLS"),
    ],
)
def test_a_head_that_cannot_be_tensorized_leaves_the_model_as_it_was(tiny, config, message):
    model = tiny("roberta")
    before = deepcopy(model)
    with pytest.raises(MethodError, match=message):
        get_peft_model(model, config)
    assert unchanged(model, before)


@pytest.mark.parametrize("bias", ["all", "lora_only", "adapter_only"])
@pytest.mark.parametrize("config_cls", [LorettaAdpConfig, LorettaRepConfig, BottleneckConfig])
def test_biases_of_the_base_do_not_train(config_cls, bias):
    with pytest.raises(MethodError, match=f"bias = '{bias}': expected 'none'.*adapter_bias"):
        config_cls(bias=bias)


def test_an_explicit_shape_is_used_for_down_and_mirrored_for_up(tiny):
    model = get_peft_model(tiny("bert"), LorettaAdpConfig(shape=[4, 8, 8], bottleneck_size=8, tensor_rank=2))
    block = model.get_submodule("base_model.model.bert.encoder.layer.0.output.dense").blocks["default"]
    assert block.down.shape.modes == (4, 8, 8)
    assert block.up.shape.modes == (8, 8, 4)


def test_a_rank_above_the_unfoldings_is_capped_and_said_so(tiny):
    counts = [trainable_parameter_count(get_peft_model(tiny("bert"), LorettaAdpConfig(tensor_rank=32)))]
    for rank in (64, 4096):
        with pytest.warns(UserWarning, match=rf"loretta_adp: tensor_rank = {rank} is capped: no unfolding .* above 32"):
            counts.append(trainable_parameter_count(get_peft_model(tiny("bert"), LorettaAdpConfig(tensor_rank=rank))))
    assert counts[0] == counts[1] == counts[2]


@pytest.fixture
def saved(tiny, tmp_path):
    save_adapter(apply_method(tiny("bert"), method=ADP, task_type="SEQ_CLS"), tmp_path)
    return tmp_path


@pytest.mark.parametrize("method", [ADP, None], ids=["method", "any"])
@pytest.mark.parametrize("overrides", [{"hidden_size": 64}, {"num_hidden_layers": 3}, {"num_hidden_layers": 1}], ids=str)
def test_another_base_is_noticed(tiny, saved, overrides, method):
    base = tiny("bert", **overrides)
    before = deepcopy(base)
    with pytest.raises(OutputError, match=r"belongs to another base model or method; (missing|unknown|other shape): base_model"):
        load_adapter(base, saved, method=method)
    assert unchanged(base, before)


def test_any_adapter_loads_without_its_method(tiny, token_ids, saved):
    model = load_adapter(tiny("bert"), str(saved))
    assert torch.equal(model(input_ids=token_ids).logits, load_adapter(tiny("bert"), saved, method=ADP)(input_ids=token_ids).logits)
    assert trainable_parameter_count(model)


def test_another_architecture_is_noticed(tiny, saved):
    base = tiny("llama")
    before = deepcopy(base)
    with pytest.raises(MethodError, match=r"target_modules=\['output.dense'\]: \['output.dense'\] matched no Linear in llama"):
        load_adapter(base, saved, method=ADP)
    assert unchanged(base, before)


def test_another_method_is_noticed(tiny, saved):
    with pytest.raises(OutputError, match=r"is of type .*LORETTA_ADP, which LoraConfig does not describe"):
        load_adapter(tiny("bert"), saved, method=Lora(type="lora"))


@pytest.mark.parametrize("damage", ["truncated", "missing", "no-config", "tensor-lost", "header-changed", "config-changed", "not-safetensors"])
def test_damaged_files_are_noticed(tiny, saved, damage):
    weights = saved / "adapter_model.safetensors"
    match damage:
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:100])
        case "missing":
            weights.unlink()
        case "no-config":
            (saved / "adapter_config.json").unlink()
        case "header-changed":
            content = weights.read_bytes()
            weights.write_bytes(content[:8] + content[8:].replace(b'"F32"', b'"F64"', 1))
        case "not-safetensors":
            weights.write_bytes(b"\x80\x04 a pickle would start like this")
        case "config-changed":
            path = saved / "adapter_config.json"
            path.write_text(path.read_text().replace('"tensor_rank": 2', '"tensor_rank": 3'))
        case "tensor-lost":
            from safetensors.torch import load_file, save_file

            state = load_file(weights)
            save_file({name: value.clone() for name, value in state.items() if "LayerNorm" not in name}, weights)
    base = tiny("bert")
    before = deepcopy(base)
    with pytest.raises(OutputError):
        load_adapter(base, saved, method=ADP)
    assert unchanged(base, before)


def test_full_fine_tuning_checks_its_file_too(tiny, tmp_path):
    save_adapter(tiny("bert"), tmp_path)
    with pytest.raises(OutputError, match="does not hold the weights of this model"):
        load_adapter(tiny("bert", hidden_size=64), tmp_path, method=Ft(type="ft"))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(OutputError):
        load_adapter(tiny("bert"), tmp_path, method=Ft(type="ft"))


def test_the_saved_config_is_self_contained(saved):
    config = json.loads((saved / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORETTA_ADP"
    assert config["target_modules"] == ["output.dense"]
    assert config["input_modules"] == []
    assert config["tensor_rank"] == 2
