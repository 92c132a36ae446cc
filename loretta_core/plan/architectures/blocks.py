"""The transformer block as memory and arithmetic see it: widths, and which part each linear layer plays. Standard library only.

post-norm (BERT …)    x → qkv → attention → O → + → norm → UP → act → DOWN → + → norm
pre-norm (Llama …)    x → norm → qkv → attention → O → + → norm → UP (· act(GATE)) → DOWN → +
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from loretta_core.config.method import MethodConfig
from loretta_core.methods.targets import is_on_input, sites_for
from loretta_core.plan.architectures.decoders import attention_widths
from loretta_core.plan.architectures.layers import Layer, ModelLayers
from loretta_core.sites import Side, matching

Config = Mapping[str, Any]
Role = Literal["q", "k", "v", "o", "up", "gate", "down"]

_ROLES: tuple[tuple[str, Role], ...] = (
    ("attention.output.dense", "o"), ("attn.c_proj", "o"), ("attention.dense", "o"), ("self_attn.dense", "o"), ("o_proj", "o"), ("out_proj", "o"),
    ("query", "q"), ("q_proj", "q"), ("query_proj", "q"), ("query_key_value", "q"), ("c_attn", "q"), ("in_proj", "q"),
    ("key", "k"), ("k_proj", "k"), ("key_proj", "k"), ("value", "v"), ("v_proj", "v"), ("value_proj", "v"),
    ("intermediate.dense", "up"), ("fc1", "up"), ("ffn", "up"), ("c_fc", "up"), ("dense_h_to_4h", "up"), ("up_proj", "up"), ("gate_proj", "gate"),
    ("output.dense", "down"), ("fc2", "down"), ("ffn_output", "down"), ("mlp.c_proj", "down"), ("dense_4h_to_h", "down"), ("down_proj", "down"),
)  # fmt: skip
"""End of a layer's path → its part; the first that matches counts."""

_POST_NORM = ("bert", "roberta", "xlm-roberta", "electra", "deberta", "deberta-v2", "albert")
_RMS = ("llama", "mistral", "qwen2", "qwen3", "gemma")
_DISENTANGLED = ("deberta", "deberta-v2")


@dataclass(frozen=True)
class Block:
    """The widths of one transformer block, and how often a forward runs it.

    Attributes:
        hidden, queries, keys, inner: widths of the stream, of the queries, of the keys of one layer, of the feed-forward block.
        repeats: forwards through such a block.
        roles: the linear layers of one block.
        total, matrices: numbers in the model, and in all matrix products of a forward (a block that is shared counts as often as it runs).
        largest: numbers in the largest parameter.
        vocabulary, embedded: rows and width of the word embeddings.
    """

    model_type: str
    hidden: int
    queries: int
    keys: int
    inner: int
    heads: int
    repeats: int
    roles: Mapping[Role, Layer]
    post_norm: bool
    rms: bool
    relu: bool
    disentangled: bool
    hidden_dropout: float
    attention_dropout: float
    total: int
    matrices: int
    largest: int
    vocabulary: int
    embedded: int

    @property
    def gated(self) -> bool:
        """True if the feed-forward block has a gate."""
        return "gate" in self.roles


def block_of(config: Config, model: ModelLayers) -> Block | None:
    """Return the block of an architecture; None for encoder-decoders, which are not built of one kind."""
    model_type = model.model_type
    if model_type == "t5":
        return None
    hidden, heads = model.sizes.hidden, config.get("num_attention_heads") or config["n_head"]
    roles: dict[Role, Layer] = {}
    for layer in model.layers:
        role = _role(layer.path) if layer.kind == "linear" and _in_block(layer.path) else None
        if role is not None:
            roles.setdefault(role, layer)
    queries, keys = attention_widths(config) if model.sizes.keys != hidden or "head_dim" in config else (hidden, hidden)
    words = max((layer for layer in model.layers if layer.kind == "embedding"), key=lambda layer: layer.in_features)
    linears = [layer for layer in model.layers if layer.kind == "linear"]
    once = sum(layer.in_features * layer.out_features for layer in roles.values())
    listed = sum(_role(layer.path) == "up" and _in_block(layer.path) for layer in linears)
    return Block(
        model_type=model_type,
        hidden=hidden,
        queries=queries,
        keys=keys,
        inner=roles["up"].out_features,
        heads=heads,
        repeats=model.sizes.layers,
        roles=roles,
        post_norm=model_type in _POST_NORM,
        rms=model_type in _RMS,
        relu=model_type == "opt" and config.get("activation_function", "relu") == "relu",
        disentangled=model_type in _DISENTANGLED and bool(config.get("relative_attention")),
        hidden_dropout=_dropout(config, model_type, ("hidden_dropout_prob", "dropout", "resid_pdrop", "hidden_dropout")),
        attention_dropout=_dropout(config, model_type, ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")),
        total=model.total,
        matrices=sum(layer.in_features * layer.out_features for layer in linears) + once * max(0, model.sizes.layers - listed),
        largest=max(layer.in_features * layer.out_features for layer in model.layers),
        vocabulary=words.in_features,
        embedded=words.out_features,
    )


def sites_of(method: MethodConfig, block: Block) -> dict[Role, Side]:
    """Return the layers of a block that a method changes, and on which side."""
    if method.attachment is None:
        return {}
    names = method.targets or sites_for(block.model_type, method.type).names
    return {role: _side(layer, method, block.model_type) for role, layer in block.roles.items() if _matches(layer, names)}


def _side(layer: Layer, method: MethodConfig, model_type: str) -> Side:
    on_input = is_on_input(layer.path, in_features=layer.in_features, out_features=layer.out_features, model_type=model_type, method=method.type)
    return "input" if on_input else "output"


def _matches(layer: Layer, names: Iterable[str]) -> bool:
    return any(matching([layer.path], target=name) for name in names)


def _dropout(config: Config, model_type: str, names: tuple[str, ...]) -> float:
    """Return a dropout probability; transformers' default where the config has none: 0.1 in encoders and OPT's residuals, none in ALBERT and later decoders."""
    found = next((config[name] for name in names if config.get(name) is not None), None)
    if found is not None:
        return float(found)
    silent = 0.1 if model_type in _POST_NORM or model_type == "gpt2" else 0.0
    return 0.0 if model_type == "albert" else 0.1 if model_type == "opt" and "dropout" in names else silent


def _in_block(path: str) -> bool:
    return any(part.isdigit() for part in path.split("."))


def _role(path: str) -> Role | None:
    return next((role for end, role in _ROLES if path.endswith(f".{end}")), None)
