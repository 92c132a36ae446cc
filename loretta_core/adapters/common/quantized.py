"""Updates folded into quantized layers: dequantize, add, quantize again, with PEFT's own backends (`peft.utils.quantization_utils`), as LoRA does.

    bitsandbytes 8 and 4 bit, torchao      merge, with one rounding to the layer's own format per adapter
    every other low-bit format             trains, and a merge is refused before anything is touched

Before a merge the first layer of each format makes the round trip on a copy, because some formats quantize and cannot dequantize, or only on some devices.
What a merge replaces is kept, so that unmerging gives the same bits back, which a subtraction would not.
"""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import resolve_quantization_backend
from peft.utils.quantization_utils import (
    Bnb8bitBackend,
    ForwardOnlyQuantizationBackend,
    QuantizationBackend,
    get_quantization_kwargs,
)
from torch import Tensor, nn

from loretta_core.errors import MethodError


def quantization_of(base_layer: nn.Module, *, model: nn.Module) -> QuantizationBackend | None:
    """Return what reads and writes the weight of a quantized layer; None for a layer that is not quantized. `model` knows how it was quantized."""
    try:
        backend = resolve_quantization_backend(base_layer, **get_quantization_kwargs(model))
    except ValueError:  # torchao's tensors do not say how to make others like them, only the model's quantization config does
        return ForwardOnlyQuantizationBackend("torchao, without a TorchAoConfig of transformers in the model,")
    weight: Any = base_layer.weight
    if backend is None and not _is_plain(weight):
        return ForwardOnlyQuantizationBackend(f"{type(base_layer).__name__} ({weight.dtype})")
    return backend


def _is_plain(weight: Tensor) -> bool:
    return type(weight).__module__.split(".")[0] == "torch" and weight.is_floating_point() and weight.dtype.itemsize > 1


def check_requantization(model: nn.Module) -> None:
    """Raise MethodError, before anything changes, if a quantized layer with an adapter cannot take a new weight in its own format. Warn if all can."""
    tried: dict[type, str] = {}
    for path, layer in model.named_modules():
        if not isinstance(layer, BaseTunerLayer) or layer.quantization_backend is None:
            continue
        kind = type(layer.get_base_layer().weight)
        if kind not in tried:
            tried[kind] = layer.quantization_backend.backend_name
            _try_round_trip(layer, path)
    if tried:
        formats = ", ".join(dict.fromkeys(tried.values()))
        warnings.warn(
            f"merging rounds the weights to their format ({formats}), so outputs change a little; a base that is not quantized merges exactly", stacklevel=3
        )


@torch.no_grad()
def _try_round_trip(layer: BaseTunerLayer, path: str) -> None:
    backend = layer.quantization_backend
    assert backend is not None
    reason = f"{backend.backend_name} layers cannot be quantized again"
    if backend.supports_merge:
        try:
            twin = deepcopy(layer)
            twin.set_base_weight(twin.get_base_weight())
        except (NotImplementedError, RuntimeError, TypeError, ValueError, ImportError) as error:
            reason = str(error).splitlines()[0]
        else:
            return
    raise MethodError(
        f"the adapter cannot be merged into the quantized layer {path} ({type(layer.get_base_layer().weight).__name__}): {reason}. "
        "Nothing was changed. Load the base without quantization and merge there, or keep the adapter beside the quantized base"
    )


@dataclass(frozen=True)
class KeptWeight:
    """A quantized weight with the constants that belong to it, wherever its library stores them."""

    weight: Tensor
    attributes: dict[str, Any]
    state: dict[str, Any]


def keep_weight(layer: BaseTunerLayer) -> KeptWeight:
    """Return what `put_back` needs to restore the base layer's weight bitwise."""
    base: Any = layer.get_base_layer()
    # bitsandbytes moves the constants of 8-bit weights from the weight to the layer's state in the first forward.
    state = dict(vars(base.state)) if isinstance(layer.quantization_backend, Bnb8bitBackend) else {}
    return KeptWeight(base.weight, dict(vars(base.weight)), state)


@torch.no_grad()
def requantize(layer: BaseTunerLayer, weight_OI: Tensor) -> None:
    """Quantize a new weight as the old one was, and put it in its place, in the dtype that the old one computes in."""
    layer.set_base_weight(weight_OI.to(layer.get_base_weight().dtype))


def put_back(layer: BaseTunerLayer, kept: KeptWeight) -> None:
    """Put the kept weight back, bitwise, with its constants."""
    base: Any = layer.get_base_layer()
    del base.weight  # torchao leaves a plain attribute, which no parameter may shadow
    base.weight = kept.weight
    vars(kept.weight).update(kept.attributes)
    if kept.state:
        vars(base.state).update(kept.state)
