"""Products with a frozen quantized weight that keep nothing for the backward pass.

    forward     y = x · Wᵀ (+ b)         by the library's own kernel
    backward    ∂x = ∂y · W              W is dequantized again
    tangent     ẏ = ẋ · Wᵀ (+ ḃ)         the same

The libraries' own layers do otherwise: torchao 0.18 keeps the dequantized weight of every layer until the backward pass, so that int8 saves nothing in
training; bitsandbytes 0.50 keeps the input in 8 bit, and on a CPU with AVX512-BF16 repacks a 4-bit layer at its first forward in eval mode for a kernel without
a gradient: training after an evaluation then loses the gradient through that layer in silence. Nor can `torch.func` transform them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loretta_core.quantized.formats import is_quantized


def train_through(model: nn.Module) -> None:
    """Replace, in place, how the quantized linear layers of a model compute; their classes and weights stay."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and is_quantized(layer.weight):
            if hasattr(layer, "support_avx512bf16_for_cpu"):
                setattr(layer, "support_avx512bf16_for_cpu", False)  # noqa: B010 no attribute of nn.Linear
            layer.forward = partial(_forward, layer)


def _forward(layer: nn.Linear, x: Tensor) -> Tensor:
    y = _Product.apply(x, layer)
    return y if layer.bias is None else y + layer.bias.to(y.dtype)


class _Product(torch.autograd.Function):
    """x, layer → x · Wᵀ."""

    @staticmethod
    def forward(x: Tensor, layer: nn.Linear) -> Tensor:  # type: ignore[override]
        return _product(layer, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, nn.Linear], output: Tensor) -> None:
        ctx.layer = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return grad @ dequantized(ctx.layer, grad.dtype), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:  # type: ignore[override]
        return tangent @ dequantized(ctx.layer, tangent.dtype).T

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, None], x: Tensor, layer: nn.Linear) -> tuple[Tensor, int]:  # type: ignore[override]
        return _Product.apply(x.movedim(in_dims[0], 0), layer), 0


def _product(layer: Any, x: Tensor) -> Tensor:
    if hasattr(layer.weight, "__tensor_flatten__"):
        return F.linear(x, layer.weight)
    import bitsandbytes as bnb

    if getattr(layer.weight, "quant_state", None) is not None:
        return bnb.matmul_4bit(x.to(layer.compute_dtype), layer.weight, quant_state=layer.weight.quant_state).to(x.dtype)
    if x.device.type == "cpu":  # there bitsandbytes has no fast 8-bit product, and does the same in training
        return x @ dequantized(layer, x.dtype).T
    layer.state.is_training = layer.training
    if layer.weight.CB is not None:
        layer.init_8bit_state()
    return bnb.matmul(x, layer.weight, state=layer.state)


def dequantized(layer: Any, dtype: torch.dtype) -> Tensor:
    """Return the weight that a quantized layer stands for, out × in, in `dtype`."""
    weight = layer.weight
    if hasattr(weight, "__tensor_flatten__"):
        return weight.dequantize().to(dtype)
    if getattr(weight, "quant_state", None) is not None:
        import bitsandbytes as bnb

        return bnb.functional.dequantize_4bit(weight.data, weight.quant_state).to(dtype)
    codes, scales = (layer.state.CB, layer.state.SCB) if layer.state.CB is not None else (weight.CB, weight.SCB)
    return codes.to(dtype, copy=True).mul_(scales.to(dtype).unsqueeze(1) / 127)
