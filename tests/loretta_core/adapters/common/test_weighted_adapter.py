"""Weighted sums of loretta_rep adapters: what they compute is the weighted sum of what the adapters compute, with LoRA's as the twin."""

import pytest
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

from loretta_core.adapters import LorettaRepConfig
from loretta_core.adapters.as_lora import as_lora
from loretta_core.adapters.common.weighted_sum import cut_to_rank, relative_error
from loretta_core.adapters.tuners.loretta_rep import LorettaRepLayer
from loretta_core.errors import MethodError

WEIGHTS = [0.5, -1.5]


@torch.no_grad()
def two_adapters(base, *, train_norms=False, task_type="CAUSAL_LM", **second):
    model = get_peft_model(base, LorettaRepConfig(task_type=task_type, tensor_rank=3, r=4, train_norms=train_norms))
    model.add_adapter("two", LorettaRepConfig(task_type=task_type, tensor_rank=2, r=4, train_norms=train_norms, **second))
    for name, parameter in model.named_parameters():
        if "loretta_rep" in name:
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def deltas(model, weights):
    layers = {path: layer for path, layer in model.named_modules() if isinstance(layer, LorettaRepLayer)}
    return {path: sum(w * layer.get_delta_weight(name) for name, w in weights.items() if name in layer.blocks) for path, layer in layers.items()}


@pytest.mark.parametrize(
    "second", [{}, {"init_weights": "subtract", "use_rslora": True, "rank_pattern": {"q_proj": 3}, "target_modules": ["q_proj", "down_proj"]}]
)
def test_concatenated_ranks_are_exact(tiny, token_ids, second):
    model = two_adapters(tiny("llama", task_type="CAUSAL_LM"), **second)
    wanted = deltas(model, {"default": 0.5, "two": -1.5})
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    errors = model.add_weighted_adapter(["default", "two"], WEIGHTS, "sum")
    assert max(errors.values()) < 1e-6
    assert errors.keys() == {path.removeprefix("base_model.model.") for path in wanted}
    for path, delta in deltas(model, {"sum": 1.0}).items():
        torch.testing.assert_close(delta, wanted[path], atol=1e-5, rtol=1e-5)
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == trained
    assert model.active_adapters == ["default"]


def test_lora_computes_the_same_sum(tiny, token_ids):
    model = two_adapters(tiny("llama", task_type="CAUSAL_LM"))
    model.add_weighted_adapter(["default", "two"], WEIGHTS, "sum")
    first = as_lora(model)
    lora = get_peft_model(tiny("llama", task_type="CAUSAL_LM"), first.config).eval()
    lora.add_adapter("two", LoraConfig(**{**first.config.to_dict(), "peft_type": None}))
    for name in ("default", "two"):
        set_peft_model_state_dict(lora, as_lora(model, adapter=name).tensors, adapter_name=name)
    lora.add_weighted_adapter(["default", "two"], WEIGHTS, "sum", combination_type="cat")
    for each in (model, lora):
        each.set_adapter("sum")
    torch.testing.assert_close(model(input_ids=token_ids).logits, lora(input_ids=token_ids).logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_norms_add_up_by_their_differences(tiny):
    model = two_adapters(tiny("llama", task_type="CAUSAL_LM"), train_norms=True)
    model.add_weighted_adapter(["default", "two"], WEIGHTS, "sum")
    norm = model.base_model.model.model.layers[0].input_layernorm
    base, own = norm.get_base_layer().weight, {name: block.weight for name, block in norm.blocks.items()}
    torch.testing.assert_close(own["sum"], base + 0.5 * (own["default"] - base) - 1.5 * (own["two"] - base))


def test_a_cut_says_what_it_drops(tiny):
    model = two_adapters(tiny("llama", task_type="CAUSAL_LM"))
    wanted = deltas(model, {"default": 0.5, "two": -1.5})
    with pytest.warns(UserWarning, match="'sum' is not exact: relative errors up to"):
        errors = model.add_weighted_adapter(["default", "two"], WEIGHTS, "sum", combination_type="svd", svd_rank=3, tensor_rank=4)
    assert model.peft_config["sum"].r == 3
    for path, delta in deltas(model, {"sum": 1.0}).items():
        error = ((delta - wanted[path]).norm() / wanted[path].norm()).item()
        assert errors[path.removeprefix("base_model.model.")] == pytest.approx(error, rel=1e-3)


def test_the_cut_of_a_product_is_that_of_its_matrix():
    torch.manual_seed(0)
    left_OR, right_RI = torch.randn(20, 6, dtype=torch.float64), torch.randn(6, 15, dtype=torch.float64)
    cut = cut_to_rank((left_OR, right_RI), rank=2)
    s = torch.linalg.svdvals(left_OR @ right_RI)
    assert relative_error((left_OR, right_RI), cut) == pytest.approx(float(s[2:].norm() / s.norm()))


@pytest.mark.parametrize(
    ("adapters", "weights", "name", "more", "message"),
    [
        (["x"], [1.0], "sum", {}, "there is no adapter 'x'; there are: default, two"),
        (["default"], [1.0, 2.0], "sum", {}, "1 adapters and 2 weights"),
        ([], [], "sum", {}, "0 adapters and 0 weights"),
        (["default"], [1.0], "two", {}, "an adapter 'two' already"),
        (["default"], [1.0], "sum", {"combination_type": "ties"}, "expected 'cat' .* or 'svd'"),
        (["default"], [1.0], "sum", {"svd_rank": 2}, "'cat', which keeps every rank"),
        (["default"], [1.0], "sum", {"tensor_rank": 0}, "tensor_rank = 0; expected at least 1"),
    ],
)
def test_what_is_no_sum_changes_nothing(tiny, adapters, weights, name, more, message):
    model = two_adapters(tiny("llama", task_type="CAUSAL_LM"))
    with pytest.raises(MethodError, match=message):
        model.add_weighted_adapter(adapters, weights, name, **more)
    assert list(model.peft_config) == ["default", "two"]


@torch.no_grad()
def test_heads(tiny, token_ids):
    model = two_adapters(tiny("roberta"), task_type="SEQ_CLS")
    with pytest.raises(MethodError, match=r"'default' and 'two' both trained .*classifier in full"):
        model.add_weighted_adapter(["default", "two"], WEIGHTS, "sum")
    model.base_model.model.classifier.modules_to_save["two"].out_proj.weight.add_(1.0)
    model.add_weighted_adapter(["two"], [1.0], "sum")
    logits = []
    for name in ("two", "sum"):
        model.set_adapter(name)
        logits.append(model(input_ids=token_ids).logits)
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-5)
