"""The PEFT tuner base of methods that attach to linear layers: it finds the layers, replaces them, and wraps the norms where these train as well.

A final subclass says which layer stands in for a linear (`make_layer`) and which block an adapter adds to it (`make_block`). Nothing of the model is changed
before the targets have been checked against its linear layers.
"""

from __future__ import annotations

import re
import warnings
from abc import abstractmethod
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils.constants import INCLUDE_LINEAR_LAYERS_SHORTHAND, SEQ_CLS_HEAD_NAMES
from torch import Tensor, nn
from transformers import PreTrainedModel

from loretta_core.adapters.common.layer_choice import check_choice_is_met, is_chosen
from loretta_core.adapters.common.quantized import check_requantization, quantization_of
from loretta_core.adapters.field_checks import check_fields
from loretta_core.adapters.io.earlier_keys import with_prefixed_norms
from loretta_core.adapters.io.saved_modules import upcast_saved_modules
from loretta_core.adapters.mixed_batches import adapters_of_rows
from loretta_core.adapters.tuners.adapter_layer import LINEAR, AdapterLayer, linear_size
from loretta_core.adapters.tuners.backbone.network import fused_experts, is_decoder, linears_at
from loretta_core.adapters.tuners.base_configs import TargetedConfig, TTConfig
from loretta_core.adapters.tuners.trainable_norms import norm_container, refuse_foreign_norms, wrap_norms
from loretta_core.adapters.tuners.tt_classifier import densify_heads, has_head, head_linear, head_shape, make_head, tell_dense_head, tensorize_head
from loretta_core.errors import MethodError
from loretta_core.methods.targets import input_side_names, known_sites, resolve_targets
from loretta_core.sites import HEAD_LAYERS, Sites, candidate_names
from loretta_core.tt.linear import TTLinear
from loretta_core.tt.shapes import Shape

ConfigT = TypeVar("ConfigT", bound=TargetedConfig)
LayerT = TypeVar("LayerT", bound=AdapterLayer)


class LinearTuner(BaseTuner, Generic[ConfigT, LayerT]):
    """Base of the tuners that put a layer of ours in place of linear layers. Abstract: a subclass adds `make_layer` and `make_block`."""

    tuner_layer_cls = AdapterLayer
    method: str
    """The method's name in a sweep; PEFT's `prefix` is this with an underscore."""

    @abstractmethod
    def make_layer(self, config: ConfigT, base_layer: nn.Module, path: str) -> LayerT:
        """Return a layer without blocks to stand in for the linear layer at `path`."""

    @abstractmethod
    def make_block(self, config: ConfigT, layer: LayerT) -> nn.Module:
        """Return the block that one adapter adds to `layer`, drawn from torch's global generator."""

    def settings_at(self, config: ConfigT, path: str) -> ConfigT:
        """Return the settings of the layer at `path`: those of the adapter, unless a subclass knows settings of single layers."""
        return config

    def more_targets(self, config: ConfigT, model: nn.Module) -> list[str]:
        """Return the paths of what the adapter changes beside linear layers."""
        return []

    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, Tensor] | None = None,
    ) -> None:
        config: Any = self.peft_config[adapter_name]
        check_fields(config)  # once more: a field may have been set since
        model_type = _model_type(model)
        self._resolve_targets(config, model)
        self._try_blocks(config, model)
        if config.train_norms:
            refuse_foreign_norms(model, prefix=self.prefix)
        shape = self._prepare_head(config, model, model_type=model_type)
        super().inject_adapter(model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage, state_dict)
        if config.train_norms:
            chosen = partial(is_chosen, config)
            wrap_norms(model, adapter=adapter_name, prefix=self.prefix, chosen=chosen, active=self.active_adapters, frozen=config.inference_mode)
        if shape is not None:
            tensorize_head(model, config=config, adapter=adapter_name, model_type=model_type, shape=shape)

    def _enable_peft_forward_hooks(self, *args: Any, **kwargs: Any) -> AbstractContextManager[None]:
        return adapters_of_rows(self, **kwargs)

    def _resolve_targets(self, config: ConfigT, model: nn.Module) -> None:
        pattern = config.target_modules
        if not isinstance(pattern, str):
            config.target_modules = find_targets(model, pattern, method=self.method)
        elif pattern.lower() == INCLUDE_LINEAR_LAYERS_SHORTHAND:
            config.target_modules = backbone_linears(model, task_type=config.task_type)
        elif not any(re.fullmatch(pattern, path) for path, _ in outside_adapters(model)):
            names = ", ".join(candidate_names(linear_paths(model))) or "none"
            raise MethodError(f"{self.method}: target_modules={pattern!r}, a regular expression, matches no path; Linears there: {names}")

    def targeted(self, config: ConfigT, model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """Yield (path, linear layer of the base) for every layer that the resolved targets name. Raises MethodError for one that is no linear layer."""
        for path, module in outside_adapters(model):
            if not path or not self._check_target_module_exists(config, path):
                continue
            base = self._base_of(module, path)
            if not isinstance(base, LINEAR):
                raise MethodError(f"{self.method}: target_modules={config.target_modules} names {path}, a {type(base).__name__} and not a Linear")
            yield path, base

    def _base_of(self, module: nn.Module, path: str) -> nn.Module:
        if not isinstance(module, BaseTunerLayer):
            return module
        if f"{self.prefix}block" not in module.adapter_layer_names:
            raise MethodError(f"{self.method}: {path} has an adapter of another type ({type(module).__name__}); merge or unload that one first")
        return module.get_base_layer()

    def _try_blocks(self, config: ConfigT, model: nn.Module) -> None:
        """Build every distinct block once without memory, so that a setting that does not fit is refused before the model changes."""
        seen: dict[tuple[object, ...], nn.Module] = {}
        targets: list[str] = []
        for path, base in self.targeted(config, model):
            targets.append(path)
            own = self.settings_at(config, path)
            kind = linear_size(base) if own is config else (*linear_size(base), repr(own))
            if kind not in seen:
                with torch.device("meta"):
                    seen[kind] = self.make_block(own, self.make_layer(own, base, path))
        check_choice_is_met(config, [*targets, *self.more_targets(config, model)], linear_paths=linear_paths(model), method=self.method)
        if isinstance(config, TTConfig) and config.shape != "paper":
            _warn_if_rank_is_capped(seen.values(), rank=config.tensor_rank, method=self.method)

    def _prepare_head(self, config: ConfigT, model: nn.Module, *, model_type: str) -> Shape | None:
        """Return the setting of the modes of a tensorized head, or None for a dense one. PEFT is told to copy the layer, and the tensor train is built once."""
        if not isinstance(config, TTConfig):
            return None
        if (shape := head_shape(config, model_type=model_type)) is None:
            tell_dense_head(config, model, model_type=model_type)
            return None
        if not has_head(model, model_type=model_type):
            warnings.warn(f"{self.method}: {type(model).__name__} has no classification head, so the adapter's is left out", stacklevel=2)
            return None
        with torch.device("meta"):
            make_head(config, head_linear(model, model_type=model_type), shape=shape)
        saved, path = config.modules_to_save or [], HEAD_LAYERS[model_type]
        if not any(path == name or path.startswith(f"{name}.") for name in saved):
            config.modules_to_save = [*saved, path]
        return shape

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
        layer.add_block(adapter_name, self.make_block(self.settings_at(peft_config, current_key), layer))
        layer.set_adapter(self.active_adapters)
        if layer is not target:
            layer.quantization_backend = quantization_of(target, model=self.model)
            self._replace_module(parent, target_name, layer, target)

    def _check_merge_allowed(self) -> None:
        super()._check_merge_allowed()
        check_requantization(self.model)

    def _unload_and_optionally_merge(
        self, merge: bool = True, progressbar: bool = False, safe_merge: bool = False, adapter_names: list[str] | None = None
    ) -> Any:  # PEFT declares None and returns the model
        if merge:
            self._check_merge_allowed()
        densify_heads(self.model)
        return super()._unload_and_optionally_merge(merge, progressbar, safe_merge, adapter_names)

    def _replace_module(self, parent: nn.Module, child_name: str, new_module: nn.Module, child: nn.Module) -> None:
        # PEFT also hands weights on, which fails for heads without a weight of their own (RoBERTa's); ours stay where they are.
        setattr(parent, child_name, new_module)

    def add_weighted_adapter(self, *args: Any, **kwargs: Any) -> Any:
        """Raise MethodError: a weighted sum of non-linear adapters is not an adapter."""
        raise MethodError(
            f"{self.method} has no add_weighted_adapter: a weighted sum of non-linear adapters is not one adapter. "
            "Activate several adapters together with `model.base_model.set_adapter([…])`: their outputs add up"
        )

    def _cast_adapter_dtype(self, adapter_name: str, autocast_adapter_dtype: bool = True) -> None:
        super()._cast_adapter_dtype(adapter_name, autocast_adapter_dtype)
        if autocast_adapter_dtype:
            upcast_saved_modules(self.model, adapter=adapter_name)

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        # PEFT expects the name second to last; our blocks nest deeper: <container>.<adapter name>.down.cores.0
        for container in (f"{cls.prefix}block", norm_container(cls.prefix)):
            key = key.replace(f".{container}.{adapter_name}.", f".{container}.")
        return key

    @classmethod
    def _remap_adapter_state_dict_for_load(cls, model: nn.Module, config: PeftConfig, adapter_name: str, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        return super()._remap_adapter_state_dict_for_load(model, config, adapter_name, with_prefixed_norms(state_dict, prefix=cls.prefix))


def _warn_if_rank_is_capped(blocks: Collection[nn.Module], *, rank: int, method: str) -> None:
    """Warn when no core reaches the rank: near the ends of a train every rank is capped, at no loss, but then the setting has no effect."""
    trains = [module for block in blocks for module in block.modules() if isinstance(module, TTLinear)]
    largest = max((inner for train in trains for inner in train.shape.ranks), default=rank)
    if largest < rank:
        warnings.warn(f"{method}: tensor_rank = {rank} is capped: no unfolding of these matrices has a rank above {largest}", stacklevel=2)


def _model_type(model: nn.Module) -> str:
    return str(BaseTuner.get_model_config(model)["model_type"])


def find_targets(model: nn.Module, targets: Collection[str] | None, *, method: str) -> list[str]:
    """Return `targets`, or for None those of the architecture's table or of the structural rule.

    Raises MethodError for one that names no linear layer of `model`. Warns where the rule leaves experts out.
    """
    config: Any = BaseTuner.get_model_config(model)
    model_type = _model_type(model)
    found = resolve_targets(targets, linears=linears_at(model, linear_paths(model)), method=method, model_type=model_type, decoder=is_decoder(config))
    if targets is None and (experts := fused_experts(model)):
        warnings.warn(
            f"{method}: the weights of `{'`, `'.join(experts)}` in this {model_type} are 3-D parameters and no linear layers, so they stay as they are; "
            f"what trains is at {', '.join(found)}",
            stacklevel=2,
        )
    return found


def own_sites(model: nn.Module, *, method: str) -> Sites:
    """Return the layers that `method` changes by default: of the architecture's table or of the structural rule, none where neither knows the model."""
    decoder = is_decoder(BaseTuner.get_model_config(model))
    return known_sites(_model_type(model), method, linears=linears_at(model, linear_paths(model)), decoder=decoder)


def input_targets(model: nn.Module, targets: Collection[str], *, method: str) -> list[str]:
    """Return those of `targets` that `method` changes on the input, as the architecture's own sites have them."""
    return list(input_side_names(targets, sites=own_sites(model, method=method)))


def linear_paths(model: nn.Module) -> list[str]:
    """Return the paths of the linear layers of the backbone, also of those that already carry adapters; linear layers inside blocks do not count."""
    layers = ((path, module.get_base_layer() if isinstance(module, BaseTunerLayer) else module) for path, module in outside_adapters(model))
    return [path for path, base in layers if isinstance(base, LINEAR)]


def backbone_linears(model: nn.Module, *, task_type: str | None) -> list[str]:
    """Return what PEFT means by "all-linear": the paths of all linear layers but the output embeddings, or a classification model's head."""
    output = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
    heads = [path for path, module in model.named_modules() if module is output]
    if output is None and task_type in ("SEQ_CLS", "TOKEN_CLS"):
        heads = [path for path, _ in model.named_children() if path in SEQ_CLS_HEAD_NAMES]
    return [path for path in linear_paths(model) if not any(path == head or path.startswith(f"{head}.") for head in heads)]


def outside_adapters(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield (path, module) as `named_modules`, without what lies inside the layers of tuners."""
    closed: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if path.startswith(closed):
            continue
        if isinstance(module, BaseTunerLayer):
            closed = (*closed, f"{path}.")
        yield path, module
