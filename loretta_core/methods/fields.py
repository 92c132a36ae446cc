"""Types of settings that several methods share: names of layers, activations, tensor-train shapes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

Activation = Literal["relu", "gelu", "tanh", "silu"]
Targets = Annotated[list[str], Field(min_length=1)]


def _known_shape(value: object) -> object:
    if value in ("auto", "paper") or (isinstance(value, list) and len(value) > 1 and all(type(mode) is int and mode > 0 for mode in value)):
        return value
    raise ValueError(f"{value!r}: expected 'auto', 'paper' or a list of at least two modes, such as [8, 8, 12, 8, 8]")


def _auto_or_modes(value: object) -> object:
    if value == "paper":
        raise ValueError("'paper' stands for the lists of LoRETTA's paper, which has none for this method: expected 'auto' or a list of modes")
    return _known_shape(value)


def _known_head(value: object) -> object:
    return value if value in (None, "dense") else _known_shape(value)


Shape = Annotated[Literal["auto", "paper"] | list[int], BeforeValidator(_known_shape)]
Modes = Annotated[Literal["auto"] | list[int], BeforeValidator(_auto_or_modes)]
HeadShape = Annotated[Literal["auto", "paper", "dense"] | list[int] | None, BeforeValidator(_known_head)]
