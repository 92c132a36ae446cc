"""A model as the structural rule sees it (`loretta_core/structure.py`): its linear layers with their widths, and whether it is a decoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from loretta_core.adapters.tuners.adapter_layer import linear_size
from loretta_core.sites import DECODERS
from loretta_core.structure import Linear


def linears_at(model: nn.Module, paths: Iterable[str]) -> list[Linear]:
    """Return the linear layers at `paths` with their widths; of a layer that carries adapters those of its base."""
    modules = ((path, model.get_submodule(path)) for path in paths)
    return [Linear(path, *linear_size(module.get_base_layer() if isinstance(module, BaseTunerLayer) else module)) for path, module in modules]


def is_decoder(config: Mapping[str, Any]) -> bool:
    """Return whether the model of a config, or its text model, reads from left to right only: transformers has it with a causal head and with no other one."""
    if config.get("is_encoder_decoder"):
        return False
    both_ways = MODEL_FOR_MASKED_LM_MAPPING_NAMES.keys() | MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.keys()
    types = (config.get("model_type"), (config.get("text_config") or {}).get("model_type"))
    return any(name in DECODERS or (name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and name not in both_ways) for name in types)


def fused_experts(model: nn.Module) -> list[str]:
    """Return the names of modules that hold the weights of experts as 3-D parameters, each name once; no linear layer, so no method attaches to them."""
    owners = (path for path, module in model.named_modules() if any(parameter.dim() == 3 for parameter in module.parameters(recurse=False)))
    return list(dict.fromkeys(name for path in owners if "expert" in (name := path.rpartition(".")[2]).lower()))
