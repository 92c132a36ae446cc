"""The bottleneck inside an adapter: a(x) = scaling * up(act(down(dropout(x)))), and the layer that adds it to a linear layer.

    output side: y = h + a(h) with h = W x + b          input side: y = W (x + a(x)) + b

`down` and `up` are tensor trains in loretta_adp and dense in the `adapters` baseline; everything else is the same, so that the two differ in nothing but
the parametrization. With `up` zero (bias included) the model starts exactly as its base.
"""

from __future__ import annotations

from torch import Tensor, nn

from loretta_core.adapters.tuners.layer import AdapterLayer, run_block
from loretta_core.errors import MethodError

BIASES = ("both", "down", "none")
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "silu": nn.SiLU}


class Bottleneck(nn.Module):
    """Raises MethodError for an unknown activation and for a scaling that is no number (the authors' "learned" is not supported)."""

    def __init__(self, *, down: nn.Module, up: nn.Module, non_linearity: str, adapter_dropout: float, scaling: float | str) -> None:
        super().__init__()
        if non_linearity not in ACTIVATIONS:
            raise MethodError(f"non_linearity = {non_linearity!r}: expected one of {', '.join(ACTIVATIONS)}")
        if not isinstance(scaling, int | float):
            raise MethodError(f"scaling = {scaling!r}: expected a number")
        self.down = down
        self.up = up
        self.activation = ACTIVATIONS[non_linearity]()
        self.dropout = nn.Dropout(adapter_dropout)
        self.scaling = scaling

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(self.activation(self.down(self.dropout(x))))
        return y if self.scaling == 1.0 else self.scaling * y


def biases(adapter_bias: str) -> tuple[bool, bool]:
    """(bias of down, bias of up). Raises MethodError for an unknown choice."""
    if adapter_bias not in BIASES:
        raise MethodError(f"adapter_bias = {adapter_bias!r}: expected one of {', '.join(BIASES)}")
    return adapter_bias != "none", adapter_bias == "both"


class BottleneckLayer(AdapterLayer):
    """Abstract: a linear layer with bottlenecks on one of its sides."""

    def __init__(self, base_layer: nn.Module, *, on_input: bool) -> None:
        super().__init__(base_layer)
        self.on_input = on_input
        self.width = self.in_features if on_input else self.out_features

    def adapted(self, x: Tensor, blocks: list[nn.Module]) -> Tensor:
        if self.on_input:
            return self.base_layer(_with_blocks(x, blocks))
        return _with_blocks(self.base_layer(x), blocks)


def _with_blocks(x: Tensor, blocks: list[nn.Module]) -> Tensor:
    """x plus every block of x (of the same x: the order of active adapters does not matter)."""
    total = x
    for block in blocks:
        total = total + run_block(block, x)
    return total
