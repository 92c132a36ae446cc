"""The layers of a model with the head that a task needs, from its config.json. Standard library only.

`LAYOUTS` holds every architecture of the site table and those of the structural rule that read text; a test compares each to the real model's
`named_parameters`. What else a count needs is in the checkpoint itself: modules that it does not hold (a pooler) start at random and train with the head. Their
names are in the header of the safetensors file.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from loretta_core.errors import ModelError
from loretta_core.methods.grid import head_width
from loretta_core.plan.architectures import decoders, encoders
from loretta_core.plan.architectures.decoder_families import DECODER_FAMILIES
from loretta_core.plan.architectures.encoder_families import ENCODER_FAMILIES
from loretta_core.plan.architectures.layers import Layer, ModelLayers, Sizes, linear

Config = Mapping[str, Any]
Layout = Callable[[Config, int | None], Iterator[Layer]]

FAMILIES = DECODER_FAMILIES | ENCODER_FAMILIES
LAYOUTS: dict[str, Layout] = {
    "bert": encoders.bert,
    "roberta": encoders.roberta,
    "xlm-roberta": encoders.roberta,
    "electra": encoders.electra,
    "deberta": encoders.deberta,
    "deberta-v2": encoders.deberta_v2,
    "albert": encoders.albert,
    "opt": decoders.opt,
    "phi": decoders.phi,
    "llama": decoders.llama,
    "mistral": decoders.llama,
    "qwen2": decoders.llama,
    "qwen3": decoders.llama,
    "gemma": decoders.llama,
    "gpt2": decoders.gpt2,
    "gpt_neox": decoders.gpt_neox,
    "t5": encoders.t5,
    "camembert": encoders.roberta,
    "mt5": encoders.t5,
    **{name: family.layers for name, family in FAMILIES.items()},
}

NOT_TEXT = {"vit": "pictures", "whisper": "sound", "clip": "pictures and text", "llava": "pictures and text", "gemma3": "pictures and text"}
"""Architectures of the structural rule without a layout → why."""

_HEADS = ("classifier", "score", "classification_head")
"""Ends of the names of classification heads; PEFT trains the first two by itself (also DistilBERT's `pre_classifier`)."""


def model_layers(config: Config, *, labels: int | None, stored: Collection[str] | None = None) -> ModelLayers:
    """Return the layers of a model. Raises ModelError for an architecture without a layout.

    Args:
        labels: width of the classification head; None for the language-model head.
        stored: names of the tensors of the checkpoint; None for a model made from its config alone.
    """
    model_type = config.get("model_type", "")
    if model_type not in LAYOUTS:
        if model_type in NOT_TEXT:
            raise ModelError(f"{model_type} reads {NOT_TEXT[model_type]}, and only models of text are planned; nothing is counted before it is loaded")
        raise ModelError(f"the layers of {model_type!r} are not known here, so nothing can be counted before it is loaded; known: {', '.join(LAYOUTS)}")
    layers = tuple(LAYOUTS[model_type](config, labels))
    backbone = layers[0].path.partition(".")[0] + "."
    outermost = dict.fromkeys(layer.path.partition(".")[0] for layer in layers)
    head = [] if labels is None else [name for name in outermost if name.endswith(_HEADS)]
    if labels is not None and stored is not None:
        head += _new_modules(layers, backbone=backbone, stored=stored, head=head)
    return ModelLayers(model_type, _sizes(config), layers, backbone, tuple(head))


def with_token_head(model: ModelLayers, *, labels: int) -> ModelLayers:
    """Return a model with a linear head on every token in the place of its head on the text; a pooler, which reads the text, is not there.

    Some architectures call it `score`; nothing is counted by that name.
    """
    kept = tuple(layer for layer in model.layers if layer.path.startswith(model.backbone) and ".pooler" not in layer.path)
    return replace(model, layers=(*kept, linear("classifier", model.sizes.hidden, labels)), trained_head=("classifier",))


def stored_tensors(directory: Path) -> frozenset[str]:
    """Return the names of the tensors of a local checkpoint, from the headers of its safetensors files. Raises ModelError for a file that is none."""
    names: set[str] = set()
    for path in sorted(directory.glob("*.safetensors")):
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > 100_000_000:
                raise ModelError(f"{path} is not a safetensors file: its header claims {size} bytes")
            names |= json.loads(file.read(size)).keys()
    return frozenset(names - {"__metadata__"})


def _new_modules(layers: tuple[Layer, ...], *, backbone: str, stored: Collection[str], head: Collection[str]) -> list[str]:
    """Return the paths of further modules whose parameters the checkpoint does not hold, under none of the names that it may store them with."""
    known = {name.replace(".gamma", ".weight").replace(".beta", ".bias") for name in stored}
    known |= {f"{backbone}{name}" for name in known}
    new = dict.fromkeys(layer.path for layer in layers if not layer.parameters.keys() <= known and layer.kind != "tensor")
    return [path for path in new if path.partition(".")[0] not in head]


def _sizes(config: Config) -> Sizes:
    model_type = config["model_type"]
    if model_type in FAMILIES:
        found = FAMILIES[model_type].numbers(config)
        return Sizes(hidden=found["hidden"], layers=found["depth"], keys=found["keys"], head_width=head_width(config))
    hidden = config.get("hidden_size") or config.get("n_embd") or config["d_model"]
    layers = config.get("num_hidden_layers") or config.get("n_layer") or config["num_layers"]
    grouped = LAYOUTS[model_type] in (decoders.llama, decoders.phi)
    keys, heads = (decoders.attention_widths(config)[1], decoders.head_width(config)) if grouped else (hidden, head_width(config))
    return Sizes(hidden=hidden, layers=layers, keys=keys, head_width=heads)
