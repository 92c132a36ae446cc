"""Products with a matrix in tensor-train form, without ever contracting an activation core by core.

The cores split into input and output cores, which build two thin halves; both keep the long dimension contiguous ("rank-major", worth 2x on a CPU):

    L_RI = input cores contracted, R_RO = output cores contracted, y_NO = (x_NI Lᵀ) R + bias        W_OI = Rᵀ L

Shapes: N rows, I/O in/out features, R rank between the halves, A/B/K running products of modes. Timings: one token 4096 -> 64 costs 0.04 ms this way and
0.6 ms by rebuilding W; rebuilding pays only where the middle rank is large for the matrix, and is the only way for modes that straddle the boundary between
input and output, see `TTShape.contracts`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from loretta_core.tt.shapes import TTShape

Factors = tuple[Tensor, ...]
"""Matrices whose product is Wᵀ, so that x goes through them from left to right: (Lᵀ_IR, R_RO), or (Wᵀ_IO,) where rebuilding is cheaper."""


def factors(cores: Sequence[Tensor], *, shape: TTShape) -> Factors:
    """Return what a product needs of the cores: two halves, or the rebuilt matrix.

    It depends on the cores alone, so it can be kept while they do not change (`tt/cache.py`).
    """
    if shape.contracts:
        left_RI, right_RO = halves(cores, shape=shape)
        return left_RI.t(), right_RO
    return (to_dense(cores, shape=shape).t(),)


def halves(cores: Sequence[Tensor], *, shape: TTShape) -> tuple[Float[Tensor, "R I"], Float[Tensor, "R O"]]:
    """Return the two halves (L_RI, R_RO) of the train, cropped to the true widths. Aligned shapes only."""
    assert shape.cut is not None
    left_RI = _left_half(cores[: shape.cut])
    right_RO = _right_half(cores[shape.cut :])
    return left_RI[:, : shape.in_features], right_RO[:, : shape.out_features]


def apply(x: Float[Tensor, "*batch I"], cores: Sequence[Tensor], *, shape: TTShape, bias: Float[Tensor, " O"] | None = None) -> Float[Tensor, "*batch O"]:
    """Return x Wᵀ + bias, by the cheaper of the two orders, in the dtype of x and the cores."""
    return apply_factors(x, factors(cores, shape=shape), bias=bias)


def apply_factors(x: Float[Tensor, "*batch I"], matrices: Factors, *, bias: Float[Tensor, " O"] | None = None) -> Float[Tensor, "*batch O"]:
    """Return x Wᵀ + bias from what `factors` made of the cores."""
    if x.dim() != 2:
        return apply_factors(x.reshape(-1, matrices[0].shape[0]), matrices, bias=bias).view(*x.shape[:-1], matrices[-1].shape[1])
    *thin, last = matrices
    for matrix in thin:
        x = x.mm(matrix)
    return x.mm(last) if bias is None else torch.addmm(bias, x, last)


def to_dense(cores: Sequence[Tensor], *, shape: TTShape) -> Float[Tensor, "O I"]:
    """Return the matrix, in the layout of `nn.Linear.weight`."""
    if shape.aligned:
        left_RI, right_RO = halves(cores, shape=shape)
        return right_RO.t() @ left_RI
    middle = _balanced_cut(shape.modes)
    flat_AB = _left_half(cores[:middle]).t() @ _right_half(cores[middle:])
    return flat_AB.view(shape.in_features, shape.out_features).t()


def _balanced_cut(modes: Sequence[int]) -> int:
    """Return the place where the two products of modes are nearest to each other, which makes the two halves smallest."""
    return min(range(1, len(modes)), key=lambda cut: math.prod(modes[:cut]) + math.prod(modes[cut:]))


def _left_half(cores: Sequence[Tensor]) -> Float[Tensor, "R A"]:
    left_AR = cores[0].flatten(0, 1)
    for core in cores[1:]:
        rank, mode, right = core.shape
        left_AR = (left_AR @ core.reshape(rank, mode * right)).view(-1, right)
    # One small copy, so that the long dimension is contiguous in every product with activations.
    return left_AR.t().contiguous()


def _right_half(cores: Sequence[Tensor]) -> Float[Tensor, "R B"]:
    right_RB = cores[-1].flatten(1, 2)
    for core in reversed(cores[:-1]):
        left, mode, rank = core.shape
        right_RB = (core.reshape(left * mode, rank) @ right_RB).view(left, -1)
    return right_RB
