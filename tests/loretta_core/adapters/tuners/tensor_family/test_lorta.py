"""LoRTA is a CP tensor over layers, matrices and heads, on the input side for the output projection."""

import pytest
import torch
from peft import get_peft_model

from loretta_core import LortaConfig
from loretta_core.adapters.tuners.tensor_family.lorta import LortaLayer
from loretta_core.errors import MethodError

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


def test_an_update_is_the_cp_tensor_at_its_place(tiny):
    model = get_peft_model(tiny("llama", task_type="CAUSAL_LM"), LortaConfig(r=3, lora_alpha=6.0, target_modules=ATTENTION))
    tensors = model.base_model.tensors_of("default")
    with torch.no_grad():
        for parameter in tensors.parameters():
            parameter.normal_()
    found = {path: module.blocks["default"].delta_weight().detach() for path, module in model.named_modules() if isinstance(module, LortaLayer)}
    assert len(found) == 2 * len(ATTENTION)
    for path, delta_OI in found.items():
        layer, matrix = int(path.split(".layers.")[1][0]), [name in path for name in ATTENTION].index(True)
        by_head = delta_OI.t() if "o_proj" in path else delta_OI  # (heads x head width, model width)
        for head, rows in enumerate(by_head.split(8)):
            scale = tensors.layers[layer] * tensors.matrices[matrix] * tensors.heads[head]
            torch.testing.assert_close(rows, 2.0 * tensors.head @ torch.diag(scale) @ tensors.widths["32"].t(), rtol=1e-4, atol=1e-5)


def test_the_count_is_that_of_the_paper(tiny):
    model = get_peft_model(tiny("bert", task_type="MASKED_LM"), LortaConfig(r=5, target_modules=["query", "key", "value", "attention.output.dense"]))
    width, heads, layers, matrices = 32, 4, 2, 4
    assert sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) == 5 * (width + width // heads + heads + layers + matrices)


def test_a_layer_without_heads_is_refused_and_nothing_changes(tiny):
    base = tiny("bert", task_type="MASKED_LM", intermediate_size=50)
    with pytest.raises(MethodError, match=r"intermediate.dense \(32 x 50\) does not split into attention heads of width 8"):
        get_peft_model(base, LortaConfig(target_modules=["intermediate.dense"]))
    assert not any(isinstance(module, LortaLayer) for module in base.modules())
    get_peft_model(base, LortaConfig(target_modules=["intermediate.dense"], head_width=10))
