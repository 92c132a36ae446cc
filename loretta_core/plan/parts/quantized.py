"""Bytes of a base whose blocks are quantized: codes, scales, and the weight that is dequantized while it is multiplied. No torch.

8bit           a byte and an fp32 scale per row           int8, float8    a byte and a scale of the base's precision per row
nf4, fp4       half a byte, a byte per 64 weights, an fp32 scale per 256 of those (double quantization, arXiv 2305.14314)
"""

from __future__ import annotations

from loretta_core.config.model import Quantization
from loretta_core.methods.formulas import FP32
from loretta_core.plan.architectures.blocks import Block

_BLOCK, _BLOCK_OF_SCALES = 64, 256


def base_bytes(form: Quantization | None, block: Block, *, a: int) -> int:
    """Return the bytes of a model's weights; `a` are those of a weight that is not quantized."""
    if form is None:
        return a * block.total
    match form:
        case "nf4" | "fp4":
            codes = block.held // 2 + block.held // _BLOCK + FP32 * (block.held // (_BLOCK * _BLOCK_OF_SCALES))
        case "8bit":
            codes = block.held + FP32 * block.held_rows
        case "int8" | "float8":
            codes = block.held + a * block.held_rows
    return a * (block.total - block.held) + codes


def block_weight_bytes(form: Quantization | None, block: Block, *, a: int) -> int:
    """Return the bytes of the largest matrix of a block as it is dequantized for a product, in 4 bit with its codes; 0 for a base that is not quantized."""
    copies = {None: 0, "nf4": 2, "fp4": 2}.get(form, 1)
    return copies * a * max(layer.in_features * layer.out_features for layer in block.roles.values())
