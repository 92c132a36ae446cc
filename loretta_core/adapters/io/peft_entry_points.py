"""PEFT's functions that ask for LoRA by its class, opened to loretta_rep: `peft.helpers.rescale_adapter_scale` and `peft.utils.hotswap.hotswap_adapter`.

PEFT has no registration for them, as it has for methods. The first looks for the class LoraLayer and needs no more than `scaling`, which our layers have. The
second computes LoRA's scaling and the places of LoRA's tensors; for our type every stored tensor is copied to its place, and heads and norms with them.

`PeftMixedModel` stays closed: it names the methods it mixes in its code. To mix with those, export as LoRA first (`as_lora`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peft.helpers
import peft.utils.hotswap
import torch
from peft import PeftModel, PeftType, get_peft_model_state_dict
from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING
from peft.tuners.lora import LoraLayer
from torch import Tensor

SAME_OUTPUT = ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "lora_dropout", "tensor_rank", "shape", "init_weights", "train_norms")
"""Settings that the tensors alone do not say, or that give them their sizes: two adapters that are swapped must agree in them."""


def open_to(peft_type: PeftType, layer_cls: type) -> None:
    """Let both functions take adapters of a type and its layers, beside those of LoRA. Once per process."""
    helpers: Any = peft.helpers
    helpers.LoraLayer = LoraLayer | layer_cls
    hotswap: Any = peft.utils.hotswap
    hotswap.CONFIG_KEYS_TO_CHECK[peft_type] = list(SAME_OUTPUT)
    hotswap.hotswap_adapter_from_state_dict = _swapping(peft_type, of_lora=hotswap.hotswap_adapter_from_state_dict)


def _swapping(peft_type: PeftType, *, of_lora: Callable[..., None]) -> Callable[..., None]:
    def hotswap_adapter_from_state_dict(
        model: PeftModel, state_dict: dict[str, Tensor], adapter_name: str, config: Any, parameter_prefix: str = "lora_"
    ) -> None:
        if config.peft_type != peft_type:
            of_lora(model, state_dict, adapter_name, config, parameter_prefix)
        else:
            swap(model, state_dict, adapter_name=adapter_name)

    return hotswap_adapter_from_state_dict


@torch.no_grad()
def swap(model: PeftModel, state: dict[str, Tensor], *, adapter_name: str) -> None:
    """Copy the stored tensors of another adapter over those of `adapter_name`, in place, so that a compiled model stays compiled.

    Raises ValueError if the adapter is merged, and RuntimeError, before anything changes, unless every tensor has a place and every place a tensor (as PEFT).
    """
    inner: PeftModel = getattr(model, "_orig_mod", model)  # torch.compile wraps the model
    prefix = PEFT_TYPE_TO_PREFIX_MAPPING[PeftType(inner.peft_config[adapter_name].peft_type)]
    if any(adapter_name in module.merged_adapters for module in inner.modules() if isinstance(module, peft.tuners.tuners_utils.BaseTunerLayer)):
        raise ValueError(f"the adapter {adapter_name!r} is merged into the base: call `unmerge_adapter` before swapping it")
    places = get_peft_model_state_dict(inner, adapter_name=adapter_name, save_embedding_layers=False)
    stored = {_without_name(key, adapter_name, prefix=prefix): value for key, value in state.items()}
    missing, extra = sorted(places.keys() - stored.keys()), sorted(stored.keys() - places.keys())
    reshaped = [key for key in sorted(places.keys() & stored.keys()) if places[key].shape != stored[key].shape]
    if missing or extra or reshaped:
        named = ", ".join(
            f"{kind}: {keys[0]} ({len(keys)} in all)" for kind, keys in (("missing", missing), ("unexpected", extra), ("other size", reshaped)) if keys
        )
        raise RuntimeError(f"the adapter cannot take the place of {adapter_name!r}; {named}")
    for key, place in places.items():
        place.copy_(stored[key])


def _without_name(key: str, adapter_name: str, *, prefix: str) -> str:
    """Return the key as it is stored: PEFT has put the adapter's name behind the container."""
    head, found, tail = key.rpartition(prefix)
    return key if not found else head + found + tail.replace(f".{adapter_name}.", ".", 1)
