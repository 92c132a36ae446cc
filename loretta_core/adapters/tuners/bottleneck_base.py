"""Bottleneck adapters, as far as loretta_adp and adapters share them: the network a(x) = scaling * up(act(down(dropout(x)))), its layer and its tuner.

    output side: y = h + a(h) with h = W x + b          input side: y = W (x + a(x)) + b

`down` and `up` are tensor trains in loretta_adp and dense in the `adapters` baseline; everything else is the same, so that the two differ in nothing but
the parametrization. With `up` zero (bias included) the model starts exactly as its base.
"""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn
from transformers.activations import ACT2FN

from loretta_core.adapters.tuners.adapter_layer import AdapterLayer, linear_size, run_block
from loretta_core.adapters.tuners.base_configs import BottleneckConfigBase
from loretta_core.adapters.tuners.linear_tuner import LinearTuner, own_sites
from loretta_core.errors import MethodError
from loretta_core.methods.targets import is_on_input, shortest_names
from loretta_core.sites import candidate_names, matching
from loretta_core.structure import Linear

ConfigT = TypeVar("ConfigT", bound=BottleneckConfigBase)


class Bottleneck(nn.Module):
    """The small network of one adapter, width → width; `non_linearity` is transformers' name of an activation, which may have parameters of its own (prelu)."""

    def __init__(self, *, down: nn.Module, up: nn.Module, non_linearity: str, adapter_dropout: float, scaling: float) -> None:
        super().__init__()
        self.down = down
        self.up = up
        self.activation = ACT2FN[non_linearity].float()
        self.dropout = nn.Dropout(adapter_dropout)
        self.scaling = scaling

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(self.activation(self.down(self.dropout(x))))
        return y if self.scaling == 1.0 else self.scaling * y


def biases(adapter_bias: str) -> tuple[bool, bool]:
    """Return whether (down, up) have a bias."""
    return adapter_bias != "none", adapter_bias == "both"


class BottleneckLayer(AdapterLayer):
    """A linear layer with bottlenecks on its input or its output. Abstract: a subclass names the container of its blocks."""

    def __init__(self, base_layer: nn.Module, *, on_input: bool) -> None:
        super().__init__(base_layer)
        self.on_input = on_input
        self.width = self.in_features if on_input else self.out_features

    def adapted(self, x: Tensor, blocks: list[nn.Module]) -> Tensor:
        if self.on_input:
            return self.base_layer(_with_blocks(x, blocks))
        return _with_blocks(self.base_layer(x), blocks)


def _with_blocks(x: Tensor, blocks: list[nn.Module]) -> Tensor:
    """Return x plus the sum of all blocks of x; the order of active adapters does not matter."""
    total = x
    for block in blocks:
        total = total + run_block(block, x)
    return total


class BottleneckTuner(LinearTuner[ConfigT, BottleneckLayer]):
    """Base of the tuners of loretta_adp and adapters. Abstract: a subclass adds `method`, `prefix`, its layer class and its block."""

    layer_cls: type[BottleneckLayer]

    def make_layer(self, config: ConfigT, base_layer: nn.Module, path: str) -> BottleneckLayer:
        on_input = any(matching([path], target=name) for name in config.input_modules or ())
        return self.layer_cls(base_layer, on_input=on_input)

    def _resolve_targets(self, config: ConfigT, model: nn.Module) -> None:
        super()._resolve_targets(config, model)
        if config.input_modules is None:
            config.input_modules = self._decide_sides(config, model)
            return
        paths = [path for path, _ in self.targeted(config, model)]
        if unmatched := [name for name in config.input_modules if not matching(paths, target=name)]:
            names = ", ".join(candidate_names(paths)) or "none"
            raise MethodError(f"{self.method}: input_modules = {config.input_modules!r}: {unmatched} names none of the targeted layers: {names}")

    def _decide_sides(self, config: ConfigT, model: nn.Module) -> list[str]:
        """Return names of the targeted layers that get their adapter on the input. They are saved, so that loading need not decide again."""
        sites = own_sites(model, method=self.method)
        layers = [Linear(path, *linear_size(base)) for path, base in self.targeted(config, model)]
        on_input = {linear.path: is_on_input(linear, sites=sites, method=self.method) for linear in layers}
        return shortest_names([path for path, side in on_input.items() if side], others=[path for path, side in on_input.items() if not side])

    def _check_merge_allowed(self) -> None:
        raise MethodError(
            f"{self.method} cannot be merged into the weights: its adapters contain a non-linearity, so no single weight matrix equals layer and adapter. "
            "Keep the adapter (`save_pretrained`), drop it (`unload`), or train loretta_rep or lora, which merge exactly."
        )
