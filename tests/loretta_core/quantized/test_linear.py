"""A product with a quantized weight: the library's values, the gradient of the dequantized twin, nothing kept."""

from importlib.util import find_spec
from typing import get_args

import pytest
import torch
from torch import nn
from torch.func import jvp, vmap
from torch.nn import functional as F

from loretta_core.config.model import Quantization
from loretta_core.quantized.formats import quantized_layer, stored_bytes
from loretta_core.quantized.linear import dequantized, train_through

INSTALL = "needs bitsandbytes and torchao: pip install -c constraints.txt -e '.[quantized]'"
pytestmark = [
    pytest.mark.skipif(find_spec("bitsandbytes") is None or find_spec("torchao") is None, reason=INSTALL),
    pytest.mark.filterwarnings("ignore"),  # both libraries warn at import and in their own operations
]
FORMATS = get_args(Quantization)


@pytest.fixture(params=FORMATS)
def form(request):
    return request.param


def model_of(form, dtype=torch.float32):
    torch.manual_seed(0)
    model = nn.Sequential(quantized_layer(form, dtype, width=64))
    train_through(model)
    return model.requires_grad_(False)


@pytest.mark.parametrize("training", [False, True])
def test_values_and_gradient_are_those_of_the_dequantized_weight(form, training):
    model = model_of(form).train(training)
    x = torch.randn(2, 3, 64, requires_grad=True)
    for _ in range(2):  # a forward in eval mode must not change the next one
        y = model(x)
        twin = F.linear(x, dequantized(model[0], x.dtype), model[0].bias)
        torch.testing.assert_close(y, twin, rtol=1e-5, atol=1e-5)
        direction = torch.randn_like(y)
        torch.testing.assert_close(torch.autograd.grad(y, x, direction), torch.autograd.grad(twin, x, direction), rtol=1e-5, atol=1e-5)


def test_nothing_is_kept_for_the_backward_pass(form):
    kept, model = [], model_of(form).train()
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor), lambda tensor: tensor):
        model(torch.randn(3, 64, requires_grad=True))
    assert not kept


def test_a_trained_bias_has_its_gradient(form):
    model = model_of(form)
    model[0].bias.requires_grad_(True)
    model(torch.randn(3, 64)).sum().backward()
    torch.testing.assert_close(model[0].bias.grad, torch.full((64,), 3.0))


def test_functional_transforms(form):
    model, x, tangent = model_of(form).eval(), torch.randn(4, 3, 64), torch.randn(4, 3, 64)
    one_by_one = torch.stack([model(row) for row in x])
    torch.testing.assert_close(vmap(model)(x), one_by_one, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(jvp(model, (x,), (tangent,))[1], tangent @ dequantized(model[0], x.dtype).T, rtol=1e-5, atol=1e-5)


def test_bytes_hold_codes_and_scales(form):
    least = {"nf4": 64 * 64 // 2, "fp4": 64 * 64 // 2}.get(form, 64 * 64)
    assert least < stored_bytes(model_of(form)[0].weight) < 1.2 * least
