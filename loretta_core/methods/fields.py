"""Types of settings that several methods share: names of layers, activations, tensor-train shapes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

# fmt: off
Activation = Literal[
    "gelu", "gelu_10", "gelu_fast", "gelu_new", "gelu_python", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate", "hardswish", "laplace", "leaky_relu",
    "linear", "mish", "quick_gelu", "relu", "relu2", "relu6", "sigmoid", "silu", "sqrtsoftplus", "swish", "tanh", "prelu", "xielu",
]
# fmt: on
"""transformers' names of activations (a test holds them to the installed version)."""
Targets = Annotated[list[str], Field(min_length=1)]


SHAPE_EXPECTED = "'auto', 'paper' or a list of at least two modes, such as [8, 8, 12, 8, 8]"


def is_shape(value: object) -> bool:
    """Return whether a value says how widths factor into modes."""
    if isinstance(value, list | tuple):
        return len(value) > 1 and all(type(mode) is int and mode > 0 for mode in value)
    return value in ("auto", "paper")


def _known_shape(value: object) -> object:
    if is_shape(value):
        return value
    raise ValueError(f"{value!r}: expected {SHAPE_EXPECTED}")


def _auto_or_modes(value: object) -> object:
    if value == "paper":
        raise ValueError("'paper' stands for the lists of LoRETTA's paper, which has none for this method: expected 'auto' or a list of modes")
    return _known_shape(value)


def _known_head(value: object) -> object:
    return value if value in (None, "dense") else _known_shape(value)


Shape = Annotated[Literal["auto", "paper"] | list[int], BeforeValidator(_known_shape)]
Modes = Annotated[Literal["auto"] | list[int], BeforeValidator(_auto_or_modes)]
HeadShape = Annotated[Literal["auto", "paper", "dense"] | list[int] | None, BeforeValidator(_known_head)]
