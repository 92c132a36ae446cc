"""The layers of each architecture that methods attach to. Standard library only: config, plan and adapters all read it.

A name matches a layer whose path ends with it. Adapters put a bottleneck on the *output* of a linear layer, y = h + a(h) with h = W x + b, or on its *input*,
y = W (x + a(x)) + b; the width is that of the side. Weight methods add a low-rank update to the layer itself. Scaling (IA3) multiplies the *output* of keys
and values and the *input* of the layer that leaves the feed-forward block (arXiv 2205.05638); where query, key and value are one layer, all three are scaled.

An architecture without an entry here gets its layers from the structural rule (`structure.py`), which gives the same kinds of places.
The adapters of bert, roberta, deberta, opt and llama are those of the authors' code (LoRETTA, arXiv 2402.11417); in their Llama there is no adapter at the
attention, and later decoders follow it. T5 has them after attention and after the feed-forward block, in encoder and decoder (arXiv 1902.00751). ALBERT runs
one set of weights in every layer, so whatever is attached to it is shared by all passes as well. GPT-2's layers are `Conv1D`, a linear layer with a
transposed weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Attachment = Literal["adapters", "weights", "scaling"]
"""Kinds of attachment: a bottleneck beside a layer, an update of its weight, factors on its input or output."""
ATTACHMENTS: tuple[Attachment, ...] = ("adapters", "weights", "scaling")
Side = Literal["input", "output"]
"""Side of a layer on which something is attached."""


@dataclass(frozen=True)
class Sites:
    """The layers of one architecture that one method changes, by the ends of their paths."""

    output: tuple[str, ...] = ()
    """Layers whose output passes through an adapter or is scaled, or (weight methods) whose weight is updated."""
    input: tuple[str, ...] = ()
    """Layers whose input passes through an adapter or is scaled."""

    @property
    def names(self) -> tuple[str, ...]:
        """Ends of the paths of all of them, those changed on their input first."""
        return self.input + self.output


@dataclass(frozen=True)
class Architecture:
    """The layers of one model type that methods attach to, for each kind of attachment."""

    adapters: Sites
    weights: Sites
    scaling: Sites

    def sites(self, attachment: Attachment) -> Sites:
        """Return the layers for one kind of attachment."""
        match attachment:
            case "adapters":
                return self.adapters
            case "weights":
                return self.weights
            case "scaling":
                return self.scaling


def _bert_like(*, weights: tuple[str, ...], scaled: tuple[str, ...]) -> Architecture:
    # `output.dense` ends the attention as well as the feed-forward block.
    return Architecture(Sites(output=("output.dense",)), Sites(output=weights), Sites(output=scaled, input=("output.dense",)))


def _decoder(*, into: tuple[str, ...], out_of: str, weights: tuple[str, ...], scaled: tuple[str, ...]) -> Architecture:
    """Return the entry of a decoder; `into` and `out_of` are the layers of its feed-forward block."""
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

_EXPERTS = "its experts are 3-D parameters and stay as they are"
_TWO_TOWERS = "both of its towers"

BY_RULE: dict[str, str] = {
    **dict.fromkeys(("gemma2", "gemma3_text", "phi3", "olmo", "olmo2", "stablelm", "starcoder2", "cohere", "granite", "smollm3"), ""),
    **dict.fromkeys(("mixtral", "qwen3_moe", "gpt_oss"), f"{_EXPERTS}; adapters sit behind the attention"),
    "deepseek_v3": f"{_EXPERTS}; shared experts and the first dense layers count",
    **dict.fromkeys(("falcon", "gptj", "bloom", "gpt_neo"), ""),
    "mamba": "only `in_proj` of its mixers, the one layer that the fused kernel does not read past",
    **dict.fromkeys(("modernbert", "mpnet", "camembert", "nomic_bert", "distilbert"), ""),
    **dict.fromkeys(("mt5", "bart"), ""),
    **dict.fromkeys(("vit", "whisper"), ""),
    **dict.fromkeys(("clip", "llava", "gemma3"), _TWO_TOWERS),
}
"""Architectures without an entry above whose layers the structural rule (`structure.py`) finds, each built by a test → what is special. Others are tried."""

DECODERS = (
    "opt", "phi", "llama", "mistral", "qwen2", "qwen3", "gemma", "gpt2", "gpt_neox",
    "gemma2", "gemma3_text", "phi3", "olmo", "olmo2", "stablelm", "starcoder2", "cohere", "granite", "smollm3",
    "mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3", "falcon", "gptj", "bloom", "gpt_neo", "mamba",
)  # fmt: skip
"""Architectures that read from left to right; a classification head on them, where transformers has one, reads the last token of the text."""

HEAD_LAYERS: dict[str, str] = {
    "roberta": "classifier.dense",
    "xlm-roberta": "classifier.dense",
    "camembert": "classifier.dense",
    "mpnet": "classifier.dense",
    "distilbert": "pre_classifier",
    "electra": "classifier.dense",
    "deberta": "pooler.dense",
    "deberta-v2": "pooler.dense",
}
"""The hidden x hidden layer of a classification head that a LoRETTA method may tensorize. Not BERT's and ALBERT's pooler, which is pre-trained."""


def matching(paths: Sequence[str], *, target: str) -> list[str]:
    """Return the paths that `target` names: itself, or any path that ends with it after a dot."""
    return [path for path in paths if path == target or path.endswith(f".{target}")]


def candidate_names(linear_paths: Sequence[str]) -> list[str]:
    """Return short names for an error message: a path from after its last layer index on, each once, in order of appearance."""
    return list(dict.fromkeys(_tail(path) for path in linear_paths))


def _tail(path: str) -> str:
    parts = path.split(".")
    after = max((place + 1 for place, part in enumerate(parts) if part.isdigit()), default=0)
    return ".".join(parts[after:])
