"""Where each method attaches, per architecture. Standard library only: config, plan and adapters all read it.

A name matches a layer whose path ends with it. Adapter methods (loretta_adp, adapters) put a bottleneck on the *output* of a linear layer,
y = h + a(h) with h = W x + b, or on its *input*, y = W (x + a(x)) + b; the width is that of the side. Weight methods (loretta_rep, lora) add a low-rank
update to the layer itself. Scaling (ia3) multiplies the *output* of keys and values and the *input* of the layer that leaves the feed-forward block
(arXiv 2205.05638); where query, key and value are one layer, all three are scaled.

The adapters of bert, roberta, deberta, opt and llama are those of the authors' code (LoRETTA, arXiv 2402.11417); in their Llama there is no adapter at the
attention, and later decoders follow it. T5 has them after attention and after the feed-forward block, in encoder and decoder (arXiv 1902.00751). ALBERT runs
one set of weights in every layer, so whatever is attached to it is shared by all passes as well. GPT-2's layers are `Conv1D`, a linear layer with a
transposed weight.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from loretta_core.errors import MethodError

ADAPTER_METHODS = ("loretta_adp", "adapters")
WEIGHT_METHODS = ("loretta_rep", "lora")
SCALING_METHODS = ("ia3",)
SITE_METHODS = (*ADAPTER_METHODS, *WEIGHT_METHODS, *SCALING_METHODS)

Side = Literal["input", "output"]


@dataclass(frozen=True)
class Sites:
    """The layers of one architecture that one method changes."""

    output: tuple[str, ...] = ()
    """Layers whose output passes through an adapter or is scaled, or (weight methods) whose weight is updated."""
    input: tuple[str, ...] = ()
    """Layers whose input passes through an adapter or is scaled."""

    @property
    def names(self) -> tuple[str, ...]:
        return self.input + self.output


@dataclass(frozen=True)
class Architecture:
    """The site lists of one model type."""

    adapters: Sites
    weights: Sites
    scaling: Sites

    def of(self, method: str) -> Sites:
        """The list of one of SITE_METHODS."""
        return self.adapters if method in ADAPTER_METHODS else self.weights if method in WEIGHT_METHODS else self.scaling


def _bert_like(*, weights: tuple[str, ...], scaled: tuple[str, ...]) -> Architecture:
    # `output.dense` ends the attention as well as the feed-forward block.
    return Architecture(Sites(output=("output.dense",)), Sites(output=weights), Sites(output=scaled, input=("output.dense",)))


def _decoder(*, into: tuple[str, ...], out_of: str, weights: tuple[str, ...], scaled: tuple[str, ...]) -> Architecture:
    """`into` and `out_of` are the layers of the feed-forward block."""
    return Architecture(Sites(input=into, output=(out_of,)), Sites(output=weights), Sites(output=scaled, input=(out_of,)))


_QUERY_VALUE = ("q_proj", "v_proj")
_KEY_VALUE = ("k_proj", "v_proj")
_BERT = _bert_like(weights=("query", "value"), scaled=("key", "value"))
_ALBERT = Architecture(Sites(output=("attention.dense", "ffn_output")), _BERT.weights, Sites(output=("key", "value"), input=("ffn_output",)))
_OPT = _decoder(into=("fc1",), out_of="fc2", weights=_QUERY_VALUE, scaled=_KEY_VALUE)
_LLAMA = _decoder(into=("gate_proj", "up_proj"), out_of="down_proj", weights=_QUERY_VALUE, scaled=_KEY_VALUE)

ARCHITECTURES: dict[str, Architecture] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "deberta": _bert_like(weights=("in_proj",), scaled=("in_proj",)),
    "deberta-v2": _bert_like(weights=("query_proj", "value_proj"), scaled=("key_proj", "value_proj")),
    "albert": _ALBERT,
    "opt": _OPT,
    "phi": _OPT,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma": _LLAMA,
    "gpt2": _decoder(into=("mlp.c_fc",), out_of="mlp.c_proj", weights=("c_attn",), scaled=("c_attn",)),
    "gpt_neox": _decoder(into=("dense_h_to_4h",), out_of="dense_4h_to_h", weights=("query_key_value",), scaled=("query_key_value",)),
    "t5": Architecture(Sites(output=("o", "wo")), Sites(output=("q", "v")), Sites(output=("k", "v"), input=("wo",))),
}


HEAD_LAYERS: dict[str, str] = {
    "roberta": "classifier.dense",
    "xlm-roberta": "classifier.dense",
    "electra": "classifier.dense",
    "deberta": "pooler.dense",
    "deberta-v2": "pooler.dense",
}
"""The hidden x hidden layer of a classification head that a LoRETTA method may tensorize. Not BERT's and ALBERT's pooler, which is pre-trained."""


def sites_for(model_type: str, method: str) -> Sites:
    """The sites of `method` (its name in a sweep) on `model_type` (its name in a Hugging Face config). Raises MethodError if there is no entry."""
    if method not in SITE_METHODS:
        raise MethodError(f"method {method!r} attaches to no sites; methods that do: {', '.join(SITE_METHODS)}")
    if model_type not in ARCHITECTURES:
        raise MethodError(
            f"{method}: no sites are known for the architecture {model_type!r}; set `target_modules` to the names of its linear layers. "
            f"Known architectures: {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[model_type].of(method)


def input_side_names(targets: Collection[str], *, model_type: str, method: str = "loretta_adp") -> tuple[str, ...]:
    """Which of a user's own `targets` `method` changes on the input: those that the architecture's table puts there, as `fc1` in OPT for adapters."""
    entry = ARCHITECTURES.get(model_type)
    known = entry.of(method).input if entry else ()
    return tuple(sorted(target for target in targets if any(target == name or target.endswith(f".{name}") for name in known)))


def matching(paths: Sequence[str], *, target: str) -> list[str]:
    """The paths that `target` names: itself, or any path that ends with it after a dot."""
    return [path for path in paths if path == target or path.endswith(f".{target}")]


def resolve_targets(targets: Collection[str] | None, *, linear_paths: Sequence[str], method: str, model_type: str) -> list[str]:
    """The names to attach to: `targets`, or the architecture's own sites for None.

    Every name must match at least one linear layer; otherwise, and for an unknown architecture, MethodError lists the names that exist.
    """
    names = ", ".join(candidate_names(linear_paths)) or "none"
    if targets is None:
        if model_type not in ARCHITECTURES:
            raise MethodError(f"{method}: no sites are known for the architecture {model_type!r}; set `target_modules` to some of its linear layers: {names}")
        targets = sites_for(model_type, method).names
    unmatched = [target for target in targets if not matching(linear_paths, target=target)]
    if unmatched:
        raise MethodError(f"{method}: target_modules={list(targets)}: {unmatched} matched no Linear in {model_type}; names there: {names}")
    return list(targets)


def candidate_names(linear_paths: Sequence[str]) -> list[str]:
    """Short names for an error message: a path from after its last layer index on, each once, in order of appearance."""
    return list(dict.fromkeys(_tail(path) for path in linear_paths))


def _tail(path: str) -> str:
    parts = path.split(".")
    after = max((place + 1 for place, part in enumerate(parts) if part.isdigit()), default=0)
    return ".".join(parts[after:])
