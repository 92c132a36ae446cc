"""What loretta_adp and adapters share as tuners: which side of a layer an adapter sits on, and why merging is refused."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from loretta_core.adapters.tuners.block import BottleneckLayer
from loretta_core.adapters.tuners.config import AdapterConfig
from loretta_core.adapters.tuners.site_tuner import SiteTuner
from loretta_core.errors import MethodError
from loretta_core.sites import input_side_names, matching

ConfigT = TypeVar("ConfigT", bound=AdapterConfig)


class AdapterTuner(SiteTuner[ConfigT, BottleneckLayer]):
    """Abstract: a subclass adds `method`, `prefix`, its layer class and its block."""

    layer_cls: type[BottleneckLayer]

    def make_layer(self, config: ConfigT, base_layer: nn.Module, path: str) -> BottleneckLayer:
        on_input = any(matching([path], target=name) for name in config.input_modules or ())
        return self.layer_cls(base_layer, on_input=on_input)

    def _resolve_targets(self, config: ConfigT, model: nn.Module) -> None:
        if config.bottleneck_size < 1:
            raise MethodError(f"{self.method}: bottleneck_size = {config.bottleneck_size}; expected at least 1")
        super()._resolve_targets(config, model)
        if config.input_modules is None and not isinstance(config.target_modules, str):
            model_type = str(self.get_model_config(model)["model_type"])
            config.input_modules = list(input_side_names(config.target_modules or (), model_type=model_type))

    def _check_merge_allowed(self) -> None:
        raise MethodError(
            f"{self.method} cannot be merged into the weights: its adapters contain a non-linearity, so no single weight matrix equals layer and adapter. "
            "Keep the adapter (`save_pretrained`), drop it (`unload`), or train loretta_rep or lora, which merge exactly."
        )
