"""The layers of a model with their paths and widths, as far as counting needs them. Standard library only.

The paths are those of transformers' modules, so that a method's site names match here as they do in the real model. A parameter that several layers share
(tied embeddings) is listed once, at its first place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from loretta_core.structure import Linear

Kind = Literal["linear", "norm", "embedding", "tensor"]


@dataclass(frozen=True)
class Layer:
    """A module that owns parameters, or (`tensor`) one parameter that sits in a larger module."""

    path: str
    kind: Kind
    in_features: int
    """Linear: input width. Embedding: rows. Otherwise 1."""
    out_features: int
    bias: bool

    @property
    def count(self) -> int:
        """Numbers in all of its parameters."""
        return self.in_features * self.out_features + self.bias_count * (self.kind != "tensor")

    @property
    def bias_count(self) -> int:
        """Numbers in its biases; in a lone parameter that is one, all."""
        return self.out_features * (self.in_features if self.kind == "tensor" else 1) if self.bias else 0

    @property
    def parameters(self) -> dict[str, int]:
        """{full name: numbers in it}, as `named_parameters` of the real module has them."""
        if self.kind == "tensor":
            return {self.path: self.in_features * self.out_features}
        weight = {f"{self.path}.weight": self.in_features * self.out_features}
        return {**weight, f"{self.path}.bias": self.out_features} if self.bias else weight


def linear(path: str, in_features: int, out_features: int, *, bias: bool = True) -> Layer:
    """Return a linear layer."""
    return Layer(path, "linear", in_features, out_features, bias)


def norm(path: str, width: int, *, bias: bool = True) -> Layer:
    """Return a LayerNorm or RMSNorm."""
    return Layer(path, "norm", 1, width, bias)


def embedding(path: str, rows: int, width: int) -> Layer:
    """Return an embedding of `rows` vectors."""
    return Layer(path, "embedding", rows, width, bias=False)


def bare_bias(path: str, width: int) -> Layer:
    """Return a bias that is a parameter of a larger module."""
    return Layer(path, "tensor", 1, width, bias=True)


@dataclass(frozen=True)
class Sizes:
    """The widths that prompts, prefixes and methods with attention heads depend on."""

    hidden: int
    layers: int
    keys: int
    """Width of the keys of one layer: less than `hidden` with grouped queries."""
    head_width: int | None = None
    """Width of one attention head; None where the config does not say."""


@dataclass(frozen=True)
class ModelLayers:
    """A model with its head."""

    model_type: str
    sizes: Sizes
    layers: tuple[Layer, ...]
    backbone: str
    """Path of the module below the head, with a dot, as `bert.`."""
    trained_head: tuple[str, ...] = field(default=())
    """Paths of the modules that train and are saved in full with every method but `ft`."""

    @property
    def linears(self) -> list[Linear]:
        """The linear layers, as the structural rule takes them."""
        return [Linear(layer.path, layer.in_features, layer.out_features) for layer in self.layers if layer.kind == "linear"]

    @property
    def total(self) -> int:
        """Numbers in all parameters of the model, a tied weight once."""
        return sum(layer.count for layer in self.layers)

    def in_head(self, layer: Layer) -> bool:
        """Return whether a layer is part of the head that trains in full."""
        return any(layer.path == name or layer.path.startswith(f"{name}.") for name in self.trained_head)

    @property
    def frozen(self) -> tuple[Layer, ...]:
        """Everything outside the trained head."""
        return tuple(layer for layer in self.layers if not self.in_head(layer))

    @property
    def head_count(self) -> int:
        """Numbers in the head that trains in full."""
        return sum(layer.count for layer in self.layers if self.in_head(layer))
