"""Slow twins of `ops`, written as the definition reads; the tests compare against them, the benchmark measures against `apply_rebuilt`.

W[i, o] = G_1[:, a_1, :] G_2[:, a_2, :] … G_d[:, a_d, :]        (a_1 … a_d) the row-major digits of the flat index in the modes:
aligned: the digits of i, then those of o; otherwise the digits of i * out + o
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from loretta_core.tt.shapes import TTShape


def dense_by_definition(cores: Sequence[Tensor], *, shape: TTShape) -> Float[Tensor, "O I"]:
    """Compute every entry as its own product of core slices; usable for small matrices only."""
    rows = []
    for o in range(shape.out_features):
        rows.append(torch.stack([_entry(cores, _entry_digits(i, o, shape=shape)) for i in range(shape.in_features)]))
    return torch.stack(rows)


def apply_core_by_core(x: Float[Tensor, "N I"], cores: Sequence[Tensor], *, shape: TTShape) -> Float[Tensor, "N O"]:
    """Contract the (padded) activations with one core after another, from the first to the last. Aligned shapes only."""
    rows = x.shape[0]
    padded = torch.nn.functional.pad(x, (0, shape.padded_in - shape.in_features))
    state = padded.reshape(rows, 1, *shape.in_modes)
    for core in cores[: len(shape.in_modes)]:
        state = torch.einsum("nrk...,rks->ns...", state, core)
    for core in cores[len(shape.in_modes) :]:
        state = torch.einsum("nr...,rks->ns...k", state, core)
    return state.reshape(rows, shape.padded_out)[:, : shape.out_features]


def apply_rebuilt(x: Float[Tensor, "N I"], cores: Sequence[Tensor], *, shape: TTShape, bias: Float[Tensor, " O"] | None = None) -> Float[Tensor, "N O"]:
    """Rebuild the whole (in, out) matrix with a chain of tensordots, multiply, add the bias, as the authors' code does. Unpadded shapes only."""
    full = cores[0]
    for core in cores[1:]:
        full = torch.tensordot(full, core, dims=([-1], [0]))
    y = x @ full.reshape(shape.in_features, shape.out_features)
    return y if bias is None else y + bias


def _entry_digits(i: int, o: int, *, shape: TTShape) -> tuple[int, ...]:
    if shape.aligned:
        return _digits(i, shape.in_modes) + _digits(o, shape.out_modes)
    return _digits(i * shape.out_features + o, shape.modes)


def _entry(cores: Sequence[Tensor], digits: tuple[int, ...]) -> Tensor:
    product = cores[0][:, digits[0], :]
    for core, digit in zip(cores[1:], digits[1:], strict=True):
        product = product @ core[:, digit, :]
    return product[0, 0]


def _digits(index: int, modes: tuple[int, ...]) -> tuple[int, ...]:
    digits = []
    for mode in reversed(modes):
        index, digit = divmod(index, mode)
        digits.append(digit)
    return tuple(reversed(digits))
