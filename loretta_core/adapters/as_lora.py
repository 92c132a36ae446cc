"""loretta_rep as a plain LoRA adapter: the trains multiplied into A and B, without an SVD, exact to fp32 rounding.

    loretta_rep    y = W x + (lora_alpha / r) TT_B(TT_A(x))         LoRA    y = W x + (lora_alpha / r) B A x

Every program that loads LoRA adapters loads the result, this project is not needed. A start that is subtracted takes a second pair of factors, so 2 r. Trained
norms are no LoRA and are refused; heads that trained go along (PEFT's `modules_to_save`), a tensorized one as the dense layer that it equals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from peft.utils import SAFETENSORS_WEIGHTS_NAME, ModulesToSaveWrapper
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from loretta_core.adapters.tuners.loretta_rep import LorettaRepConfig, LorettaRepLayer, TTLowRank
from loretta_core.adapters.tuners.trainable_norms import TrainableNorm
from loretta_core.adapters.tuners.tt_classifier import TTHeadLinear
from loretta_core.errors import MethodError


@dataclass(frozen=True)
class LoraAdapter:
    """A LoRA adapter as PEFT reads it: its config, and its tensors under PEFT's names."""

    config: LoraConfig
    tensors: dict[str, Tensor]
    heads: tuple[str, ...]
    """Paths of the modules that go along in full."""

    def save(self, directory: Path) -> None:
        """Write adapter_config.json and adapter_model.safetensors."""
        directory.mkdir(parents=True, exist_ok=True)
        self.config.save_pretrained(str(directory))
        save_file(self.tensors, directory / SAFETENSORS_WEIGHTS_NAME, metadata={"format": "pt"})


@torch.no_grad()
def as_lora(model: PeftModel, *, adapter: str = "default") -> LoraAdapter:
    """Return the adapter of type LORETTA_REP as LoRA; `model` stays as it is. Raises MethodError for other types and for trained norms."""
    config: Any = model.peft_config.get(adapter)
    if not isinstance(config, LorettaRepConfig):
        kind = "no adapter" if config is None else f"an adapter of type {config.peft_type.value}"
        raise MethodError(f"{adapter!r} is {kind}: only LORETTA_REP is a product of two matrices, as LoRA is")
    if config.target_parameters:
        raise MethodError(
            f"target_parameters = {config.target_parameters}: updates of parameters are not written as LoRA yet; merge the adapter into the model"
        )
    layers = {path: layer for path, layer in model.named_modules() if isinstance(layer, LorettaRepLayer) and adapter in layer.blocks}
    norms = [path for path, layer in model.named_modules() if isinstance(layer, TrainableNorm) and adapter in layer.blocks]
    if norms:
        raise MethodError(
            f"{len(norms)} trained norms are no part of a LoRA adapter ({norms[0].removeprefix(_OUTER)}, …): train with train_norms = false, "
            "or merge the adapter into the model (`loretta export --merge`, `merge_and_unload`)"
        )
    heads = {path: wrapper.modules_to_save[adapter] for path, wrapper in _trained_heads(model, adapter=adapter)}
    tensors = {key: value for path, layer in layers.items() for key, value in _factors(layer.blocks[adapter], path=path).items()}
    for path, head in heads.items():
        tensors |= {f"{path}.{name}": value for name, value in _dense_state(head).items()}
    stored = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    paths = tuple(path.removeprefix(_OUTER) for path in heads)
    return LoraAdapter(_lora_config(config, layers=list(layers.values()), heads=paths), stored, paths)


_OUTER = "base_model.model."


def _factors(block: nn.Module, *, path: str) -> dict[str, Tensor]:
    assert isinstance(block, TTLowRank)
    left_OR, right_RI = block.lora_factors()
    return {f"{path}.lora_A.weight": right_RI, f"{path}.lora_B.weight": left_OR * (block.scaling / block.initial_scaling)}


def _lora_config(config: LorettaRepConfig, *, layers: list[LorettaRepLayer], heads: tuple[str, ...]) -> LoraConfig:
    """Return the settings of LoRA that give the same scaling; with twice the rank lora_alpha grows by what the rank divides it by."""
    ranks = 2 if config.init_weights == "subtract" else 1
    alphas = math.sqrt(ranks) if config.use_rslora else ranks
    return LoraConfig(
        task_type=config.task_type,
        base_model_name_or_path=config.base_model_name_or_path,
        revision=config.revision,
        inference_mode=True,
        r=ranks * config.r,
        lora_alpha=_whole(alphas * config.lora_alpha),
        use_rslora=config.use_rslora,
        rank_pattern={name: ranks * r for name, r in config.rank_pattern.items()},
        alpha_pattern={name: _whole(alphas * alpha) for name, alpha in config.alpha_pattern.items()},
        lora_dropout=config.lora_dropout,
        target_modules=_listed(config.target_modules),
        exclude_modules=_listed(config.exclude_modules),
        layers_to_transform=config.layers_to_transform,
        layers_pattern=config.layers_pattern,
        fan_in_fan_out=all(isinstance(layer.get_base_layer(), Conv1D) for layer in layers),
        modules_to_save=list(heads) or None,
    )


def _listed(names: list[str] | set[str] | str | None) -> list[str] | str | None:
    return sorted(names) if isinstance(names, list | set) else names


def _whole(number: float) -> Any:
    """Return an int where there is one: servers of LoRA adapters read lora_alpha as PEFT declares it."""
    return int(number) if number == int(number) else number


def _trained_heads(model: nn.Module, *, adapter: str) -> list[tuple[str, ModulesToSaveWrapper]]:
    found = [(path, module) for path, module in model.named_modules() if isinstance(module, ModulesToSaveWrapper)]
    return [(path, wrapper) for path, wrapper in found if adapter in wrapper.modules_to_save]


def _dense_state(head: nn.Module) -> dict[str, Tensor]:
    """Return the state of a head in which every tensorized layer is dense."""
    trains = {path: module for path, module in head.named_modules() if isinstance(module, TTHeadLinear)}
    inside = tuple(f"{path}." if path else "" for path in trains)
    state = {name: value for name, value in head.state_dict().items() if not (trains and name.startswith(inside))}
    for path, train in trains.items():
        prefix = f"{path}." if path else ""
        state[f"{prefix}weight"] = train.to_dense()
        if train.bias is not None:
            state[f"{prefix}bias"] = train.bias
    return state
