"""Counts that several methods share: parameters of dense layers, tensor trains and LSTMs, and what adapters keep for the backward pass."""

from __future__ import annotations

from loretta_core.sites import Side
from loretta_core.tt.shapes import Shape, mirrored, tt_parameter_count

FP32 = 4
"""Bytes of a number that trains."""


def dense(in_features: int, out_features: int) -> int:
    """Return the parameters of a linear layer with bias."""
    return in_features * out_features + out_features


def bidirectional_lstm(in_features: int, hidden: int, *, layers: int) -> int:
    """Return the parameters of a bidirectional LSTM: four gates per direction, each with two biases; all layers but the first read both directions."""
    inputs = [in_features, *[2 * hidden] * (layers - 1)]
    return sum(2 * 4 * hidden * (width + hidden + 2) for width in inputs)


def tt_pair(width: int, middle: int, width_out: int, *, rank: int, shape: Shape) -> int:
    """Return the parameters of two tensor trains in a row, width → middle → width_out, without biases. Raises MethodError for a shape that does not fit."""
    return tt_parameter_count(width, middle, rank=rank, shape=shape) + tt_parameter_count(middle, width_out, rank=rank, shape=mirrored(shape))


def tensorized_classifier(wanted: Shape | None, in_features: int, out_features: int, *, rank: int, matrix_shape: Shape, bias: bool) -> int | None:
    """Return the parameters of a classifier's layer as a tensor train, or None where it stays dense: by default unless the matrices have the paper's shapes."""
    shape = "paper" if wanted is None and matrix_shape == "paper" else wanted
    if shape is None or shape == "dense":
        return None
    return tt_parameter_count(in_features, out_features, rank=rank, shape=shape, bias=bias)


def adapter_biases(which: str, *, middle: int, width: int) -> int:
    """Return the biases of a bottleneck adapter whose `adapter_bias` is `which`."""
    return {"both": middle + width, "down": middle, "none": 0}[which]


def activation_parameters(non_linearity: str) -> int:
    """Return the parameters of an activation of transformers."""
    return {"prelu": 1, "xielu": 2}.get(non_linearity, 0)


def adapter_activation_bytes(inner: int, *, out_features: int, side: Side) -> int:
    """Return the bytes a token that a bottleneck with `inner` numbers inside keeps; on a layer's output it also keeps that, as its own input."""
    return FP32 * (inner + (out_features if side == "output" else 0))
