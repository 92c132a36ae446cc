"""The PEFT tuner behind loretta_adp, loretta_rep and adapters: find the sites, put layers there, take the norms along.

A final subclass says which layer stands in for a linear (`make_layer`) and which block an adapter adds to it (`make_block`). Nothing of the model is changed
before the targets have been checked against its linear layers.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, TypeVar

import torch
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from torch import Tensor, nn

from loretta_core.adapters.config import SiteConfig
from loretta_core.adapters.layer import AdapterLayer
from loretta_core.adapters.norms import TrainableNorm, wrap_norms
from loretta_core.adapters.saved_modules import upcast_saved_modules
from loretta_core.errors import MethodError
from loretta_core.sites import resolve_targets

ConfigT = TypeVar("ConfigT", bound=SiteConfig)
LayerT = TypeVar("LayerT", bound=AdapterLayer)


class SiteTuner(BaseTuner, Generic[ConfigT, LayerT]):
    """Abstract."""

    tuner_layer_cls = AdapterLayer
    method: str
    """The method's name in a sweep; PEFT's `prefix` is this with an underscore."""

    @abstractmethod
    def make_layer(self, config: ConfigT, base_layer: nn.Linear, path: str) -> LayerT:
        """An empty layer for the linear at `path`."""

    @abstractmethod
    def make_block(self, config: ConfigT, layer: LayerT) -> nn.Module:
        """A block for one adapter."""

    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, Tensor] | None = None,
    ) -> None:
        config: Any = self.peft_config[adapter_name]
        self._resolve_targets(config, model)
        self._rehearse(config, model)
        super().inject_adapter(model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage, state_dict)
        if config.train_norms:
            for layer in wrap_norms(model, adapter=adapter_name):
                layer.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _resolve_targets(self, config: ConfigT, model: nn.Module) -> None:
        if not isinstance(config.target_modules, str):  # a string is a pattern, PEFT's way
            model_type = str(self.get_model_config(model)["model_type"])
            config.target_modules = resolve_targets(config.target_modules, linear_paths=linear_paths(model), method=self.method, model_type=model_type)

    def _rehearse(self, config: ConfigT, model: nn.Module) -> None:
        """Build every distinct block once without memory, so that a setting that does not fit is refused before the model changes."""
        seen = set()
        for path, module in model.named_modules():
            if not self._check_target_module_exists(config, path):
                continue
            base = module.get_base_layer() if isinstance(module, AdapterLayer) else module
            if not isinstance(base, nn.Linear):
                raise MethodError(f"{self.method}: target_modules={config.target_modules} names {path}, a {type(base).__name__} and not a Linear")
            if (size := (base.in_features, base.out_features)) not in seen:
                seen.add(size)
                with torch.device("meta"):
                    self.make_block(config, self.make_layer(config, base, path))

    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: Any,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        layer: Any = target if isinstance(target, AdapterLayer) else self.make_layer(peft_config, target, current_key)
        layer.add_block(adapter_name, self.make_block(peft_config, layer))
        layer.set_adapter(self.active_adapters)
        if layer is not target:
            self._replace_module(parent, target_name, layer, target)

    def _cast_adapter_dtype(self, adapter_name: str, autocast_adapter_dtype: bool = True) -> None:
        super()._cast_adapter_dtype(adapter_name, autocast_adapter_dtype)
        if autocast_adapter_dtype:
            upcast_saved_modules(self.model, adapter=adapter_name)

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        # PEFT expects the name second to last; our blocks nest deeper: <container>.<adapter name>.down.cores.0
        for container in (f"{cls.prefix}block", *TrainableNorm.adapter_layer_names):
            key = key.replace(f".{container}.{adapter_name}.", f".{container}.")
        return key


def linear_paths(model: nn.Module) -> list[str]:
    """Paths of the linear layers of the backbone, also of those that already carry adapters; linear layers inside blocks do not count."""
    paths: list[str] = []
    closed: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if path.startswith(closed):
            continue
        is_layer = isinstance(module, BaseTunerLayer)
        if is_layer:
            closed = (*closed, f"{path}.")
        if isinstance(module.get_base_layer() if is_layer else module, nn.Linear):
            paths.append(path)
    return paths
