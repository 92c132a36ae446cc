"""The table of what is known of each architecture: by which rule its layers are found, which they are, and how far it is planned. No torch.

A layer changed on its input is written `→name`, one changed on its output `name→`, one whose weight is updated by its name alone. Where the structural rule
decides, the layers are those of a small made-up config; options of a real one can add some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loretta_core.plan.architectures.blocks import NOT_ONE_BLOCK
from loretta_core.plan.architectures.model import LAYOUTS, NOT_TEXT, model_layers
from loretta_core.sites import ARCHITECTURES, BY_RULE, DECODERS, Architecture, Sites
from loretta_core.structure import structural_sites

COLUMNS = ("architecture", "rule", "adapters", "weights", "scaling (IA3)", "planned")

_SMALL: dict[str, Any] = {
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "d_model": 8,
    "d_kv": 4,
    "d_ff": 20,
    "num_heads": 2,
    "num_layers": 1,
}


def overview(sites: Mapping[str, Architecture] | None = None) -> tuple[tuple[str, ...], ...]:
    """Return one row per known architecture, as `COLUMNS`. `sites`: those of real models, for architectures without a layout, which are blank otherwise."""
    return tuple(_row(model_type, (sites or {}).get(model_type) or _sites(model_type)) for model_type in (*ARCHITECTURES, *BY_RULE))


def rule_of(model_type: str) -> str:
    """Return which rule finds the layers of an architecture."""
    return "table" if model_type in ARCHITECTURES else "structural"


def planned(model_type: str) -> str:
    """Return in a few words how far an architecture is planned."""
    if model_type not in LAYOUTS:
        return f"no: reads {NOT_TEXT[model_type]}"
    return "parameters" if model_type in NOT_ONE_BLOCK else "all"


def _row(model_type: str, sites: Architecture | None) -> tuple[str, ...]:
    shown = ("", "", "") if sites is None else (_sided(sites.adapters), " ".join(sites.weights.names), _sided(sites.scaling))
    return (model_type, rule_of(model_type), *shown, planned(model_type))


def _sites(model_type: str) -> Architecture | None:
    if model_type in ARCHITECTURES:
        return ARCHITECTURES[model_type]
    if model_type not in LAYOUTS:
        return None
    return structural_sites(model_layers({**_SMALL, "model_type": model_type}, labels=None).linears, decoder=model_type in DECODERS)


def _sided(sites: Sites) -> str:
    return " ".join([*(f"→{name}" for name in sites.input), *(f"{name}→" for name in sites.output)])
