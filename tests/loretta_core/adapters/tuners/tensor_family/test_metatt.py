"""MetaTT is the product of its four cores, and rounds to lower ranks."""

from copy import deepcopy

import pytest
import torch
from peft import PeftModel, get_peft_model

from loretta_core import MetaTTConfig
from loretta_core.adapters.tuners.tensor_family.metatt import MetaTTLayer
from loretta_core.errors import MethodError


@torch.no_grad()
def trained(base, *, rank=4):
    """Return a model with random cores."""
    model = get_peft_model(base, MetaTTConfig(tensor_rank=rank, alpha=2.0)).eval()
    for name, parameter in model.named_parameters():
        if "metatt_block" in name:
            parameter.normal_(std=0.3)
    return model


def updates(model):
    return {path: module.blocks["default"].delta_weight().detach() for path, module in model.named_modules() if isinstance(module, MetaTTLayer)}


def test_an_update_is_the_product_of_cores(tiny):
    model = trained(tiny("llama", task_type="CAUSAL_LM"))
    cores = model.base_model.tensors_of("default")
    for path, delta_OI in updates(model).items():
        layer, matrix = int(path.split(".layers.")[1][0]), ["q_proj", "v_proj"].index(path.rpartition(".")[2])
        expected = 2.0 * torch.einsum("ia,ab,bc,co->oi", cores.inputs["32"], cores.layers[layer], cores.matrices[matrix], cores.outputs[str(len(delta_OI))])
        torch.testing.assert_close(delta_OI, expected)


def test_rounding_without_loss_keeps_the_model(tiny, token_ids):
    model = trained(tiny("bert", task_type="MASKED_LM"), rank=2)
    before = model(input_ids=token_ids).logits
    assert model.round_ranks(rank=5) < 1e-5
    torch.testing.assert_close(model(input_ids=token_ids).logits, before, rtol=0, atol=1e-5)


def test_rounding_tells_its_error_and_the_rounded_train_is_saved(tiny, token_ids, tmp_path):
    base = tiny("llama", task_type="CAUSAL_LM")
    model = trained(deepcopy(base))
    before = updates(model)
    told = model.round_ranks(rank=2)
    after = updates(model)
    error = sum(float((after[path] - before[path]).square().sum()) for path in before) ** 0.5
    norm = sum(float(delta.square().sum()) for delta in before.values()) ** 0.5
    assert 0 < told == pytest.approx(error / norm, rel=1e-4)
    assert told < 1
    assert model.peft_config["default"].tensor_rank == [2, 2, 2]
    assert all(parameter.requires_grad for parameter in model.base_model.tensors_of("default").parameters())
    logits = model(input_ids=token_ids).logits
    model.save_pretrained(str(tmp_path))
    assert torch.equal(PeftModel.from_pretrained(base, str(tmp_path)).eval()(input_ids=token_ids).logits, logits)


def test_a_tolerance_lowers_the_ranks_that_are_not_needed(tiny):
    model = trained(tiny("bert", task_type="MASKED_LM"), rank=5)
    cores = model.base_model.tensors_of("default")
    with torch.no_grad():
        cores.outputs["32"][2:] = 0
        cores.matrices[:, :, 2:] = 0
    assert model.round_ranks(tolerance=1e-3) <= 1e-3
    assert model.peft_config["default"].tensor_rank[-1] == 2


def test_wrong_ranks_are_refused(tiny):
    for rank in (0, [2, 2], [2, 2, 0]):
        with pytest.raises(MethodError, match="expected a number of at least 1, or three of them"):
            MetaTTConfig(tensor_rank=rank)
    model = trained(tiny("bert", task_type="MASKED_LM"))
    for given in ({}, {"rank": 0}, {"tolerance": -1.0}):
        with pytest.raises(MethodError, match="expected a rank of at least 1"):
            model.round_ranks(**given)
