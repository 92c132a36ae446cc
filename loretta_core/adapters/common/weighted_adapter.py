"""`add_weighted_adapter` of loretta_rep: checks, the new adapter, its updates (`weighted_sum.py`) and its head.

Nothing changes before the request is known to be one. Heads have no sum: at most one of the adapters may have trained a head, and that one is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from peft.tuners.tuners_utils import BaseTuner
from peft.utils import ModulesToSaveWrapper
from torch import nn

from loretta_core.adapters.common.weighted_sum import COMBINATIONS, Factors, concatenate, cut_to_rank, exact_tensor_rank, relative_error
from loretta_core.errors import MethodError


@dataclass(frozen=True)
class SumRequest:
    """The arguments of `add_weighted_adapter`."""

    adapters: tuple[str, ...]
    weights: tuple[float, ...]
    name: str
    combination: str
    r: int | None
    tensor_rank: int | None

    @property
    def weight_of(self) -> dict[str, float]:
        """The weight of each adapter; one that is named twice counts twice."""
        total: dict[str, float] = {}
        for adapter, weight in zip(self.adapters, self.weights, strict=True):
            total[adapter] = total.get(adapter, 0.0) + weight
        return total


@runtime_checkable
class Updated(Protocol):
    """A layer with updates that are products of two matrices."""

    @property
    def blocks(self) -> nn.ModuleDict: ...

    def weighted_parts(self, weights: Mapping[str, float]) -> list[tuple[float, Factors]]: ...

    def set_update(self, adapter: str, factors: Factors) -> Factors: ...


@torch.no_grad()
def add_sum(tuner: BaseTuner, layers: Mapping[str, Updated], request: SumRequest) -> dict[str, float]:
    """Add the sum as an adapter of its own; return the relative error of every layer. Raises MethodError before anything changes."""
    _check(tuner, request)
    every = {path: layer.weighted_parts(request.weight_of) for path, layer in layers.items()}
    parts = {path: found for path, found in every.items() if found}
    width = max(sum(right.shape[0] for _, (_, right) in found) for found in parts.values())
    wanted = found = {path: concatenate(terms, width=width) for path, terms in parts.items()}
    if request.combination == "svd":
        width = request.r or max(right.shape[0] for terms in parts.values() for _, (_, right) in terms)
        found = {path: cut_to_rank(factors, rank=width) for path, factors in wanted.items()}
    _inject(tuner, request, paths=list(parts), r=width, tensor_rank=request.tensor_rank or exact_tensor_rank(found.values()))
    _copy_head(tuner, request)
    return {path: relative_error(wanted[path], layers[path].set_update(request.name, factors)) for path, factors in found.items()}


def _check(tuner: BaseTuner, request: SumRequest) -> None:
    known = list(tuner.peft_config)
    if not request.adapters or len(request.adapters) != len(request.weights):
        raise MethodError(
            f"add_weighted_adapter: {len(request.adapters)} adapters and {len(request.weights)} weights; expected one weight for each, of one or more"
        )
    if unknown := [adapter for adapter in request.adapters if adapter not in known]:
        raise MethodError(f"add_weighted_adapter: there is no adapter {', '.join(map(repr, unknown))}; there are: {', '.join(known)}")
    if request.name in known:
        raise MethodError(f"add_weighted_adapter: there is an adapter {request.name!r} already; delete it first, or give another name")
    if request.combination not in COMBINATIONS:
        raise MethodError(
            f"combination_type = {request.combination!r}: expected 'cat' (exact) or 'svd' (cut to svd_rank). The others of LoRA mix entries of the factors, "
            "and a factor in tensor-train form has none: export the adapters as LoRA for those"
        )
    if request.r is not None and request.combination == "cat":
        raise MethodError(f"svd_rank = {request.r} with combination_type = 'cat', which keeps every rank; take combination_type = 'svd'")
    for name, rank in (("svd_rank", request.r), ("tensor_rank", request.tensor_rank)):
        if rank is not None and rank < 1:
            raise MethodError(f"add_weighted_adapter: {name} = {rank}; expected at least 1")
    _check_summable(tuner, request)


def _check_summable(tuner: BaseTuner, request: SumRequest) -> None:
    configs: list[Any] = [tuner.peft_config[adapter] for adapter in request.adapters]
    if any(config.target_parameters for config in configs):
        raise MethodError("add_weighted_adapter: adapters with target_parameters have no weighted sum, as with LoRA; activate them together")
    for path, module in tuner.model.named_modules():
        owners = _owners(module, request)
        if len(owners) > 1:
            raise MethodError(f"add_weighted_adapter: {' and '.join(map(repr, owners))} both trained {path} in full, and there is no weighted sum of heads")


def _owners(module: nn.Module, request: SumRequest) -> list[str]:
    """Return the adapters that trained `module` in full."""
    return [name for name in request.weight_of if isinstance(module, ModulesToSaveWrapper) and name in module.modules_to_save]


def _inject(tuner: BaseTuner, request: SumRequest, *, paths: list[str], r: int, tensor_rank: int) -> None:
    configs: list[Any] = [tuner.peft_config[adapter] for adapter in request.adapters]
    first = next((config for config in configs if config.modules_to_save), configs[0])
    everywhere: dict[str, Any] = {"exclude_modules": None, "layers_to_transform": None, "layers_pattern": None, "rank_pattern": {}, "alpha_pattern": {}}
    own: dict[str, Any] = {
        "r": r,
        "lora_alpha": r,
        "use_rslora": False,
        "tensor_rank": tensor_rank,
        "shape": "auto",
        "init_weights": "zero",
        "target_modules": paths,
    }
    norms = any(config.train_norms for config in configs)
    tuner.peft_config[request.name] = replace(first, **everywhere, **own, train_norms=norms, inference_mode=True)
    try:
        tuner.inject_adapter(tuner.model, request.name)
    except Exception:
        del tuner.peft_config[request.name]
        raise


def _copy_head(tuner: BaseTuner, request: SumRequest) -> None:
    for wrapper in tuner.model.modules():
        if isinstance(wrapper, ModulesToSaveWrapper) and request.name in wrapper.modules_to_save:
            for owner in _owners(wrapper, request):
                wrapper.modules_to_save[request.name] = deepcopy(wrapper.modules_to_save[owner])
            wrapper.modules_to_save[request.name].requires_grad_(False)
