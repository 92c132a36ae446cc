"""Where each method attaches, per architecture. Standard library only: config, plan and adapters all read it.

A name matches a layer whose path ends with it. Adapter methods (loretta_adp, adapters) put a bottleneck on the *output* of a linear layer,
y = h + a(h) with h = W x + b, or on its *input*, y = W (x + a(x)) + b; the width is that of the side. Weight methods (loretta_rep, lora) add a low-rank
update to the layer itself. The choices for bert, roberta, deberta, opt and llama are those of the authors' code (LoRETTA, arXiv 2402.11417); in their Llama
there is no adapter at the attention. ALBERT runs one set of weights in every layer, so its adapters are shared by all passes as well.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from loretta_core.errors import MethodError

ADAPTER_METHODS = ("loretta_adp", "adapters")
WEIGHT_METHODS = ("loretta_rep", "lora")

Side = Literal["input", "output"]


@dataclass(frozen=True)
class Sites:
    """The layers of one architecture that one method changes."""

    output: tuple[str, ...] = ()
    """Layers whose output passes through an adapter, or (weight methods) whose weight is updated."""
    input: tuple[str, ...] = ()
    """Layers whose input passes through an adapter."""

    @property
    def names(self) -> tuple[str, ...]:
        return self.input + self.output


@dataclass(frozen=True)
class Architecture:
    """The two site lists of one model type."""

    adapters: Sites
    weights: Sites


_BERT = Architecture(adapters=Sites(output=("output.dense",)), weights=Sites(output=("query", "value")))
_DEBERTA = Architecture(adapters=_BERT.adapters, weights=Sites(output=("in_proj",)))
_DEBERTA_V2 = Architecture(adapters=_BERT.adapters, weights=Sites(output=("query_proj", "value_proj")))
_ALBERT = Architecture(adapters=Sites(output=("attention.dense", "ffn_output")), weights=_BERT.weights)
_OPT = Architecture(adapters=Sites(input=("fc1",), output=("fc2",)), weights=Sites(output=("q_proj", "v_proj")))
_LLAMA = Architecture(adapters=Sites(input=("gate_proj", "up_proj"), output=("down_proj",)), weights=_OPT.weights)

ARCHITECTURES: dict[str, Architecture] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "deberta": _DEBERTA,
    "deberta-v2": _DEBERTA_V2,
    "albert": _ALBERT,
    "opt": _OPT,
    "phi": _OPT,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma": _LLAMA,
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
    if method not in (*ADAPTER_METHODS, *WEIGHT_METHODS):
        raise MethodError(f"method {method!r} attaches to no sites; methods that do: {', '.join((*ADAPTER_METHODS, *WEIGHT_METHODS))}")
    if model_type not in ARCHITECTURES:
        raise MethodError(
            f"{method}: no sites are known for the architecture {model_type!r}; set `target_modules` to the names of its linear layers. "
            f"Known architectures: {', '.join(ARCHITECTURES)}"
        )
    entry = ARCHITECTURES[model_type]
    return entry.adapters if method in ADAPTER_METHODS else entry.weights


def input_side_names(targets: Collection[str], *, model_type: str) -> tuple[str, ...]:
    """Which of a user's own `targets` take the adapter on the input: those that the architecture's table puts there, as `fc1` in OPT."""
    entry = ARCHITECTURES.get(model_type)
    known = entry.adapters.input if entry else ()
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
