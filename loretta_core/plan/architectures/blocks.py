"""The transformer block as memory and arithmetic see it: widths, and which part each linear layer plays. Standard library only.

post-norm (BERT …)    x → qkv → attention → O → + → norm → UP → act → DOWN → + → norm
pre-norm (Llama …)    x → norm → qkv → attention → O → + → norm → UP (· act(GATE)) → DOWN → +
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from loretta_core.config.method import MethodConfig
from loretta_core.methods.targets import is_on_input, known_sites, sites_for
from loretta_core.plan.architectures.decoders import attention_widths
from loretta_core.plan.architectures.layers import Layer, ModelLayers
from loretta_core.plan.architectures.model import FAMILIES
from loretta_core.sites import Side, Sites, candidate_names, matching
from loretta_core.structure import Found, Linear, found_layers

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

_POST_NORM = ("bert", "roberta", "xlm-roberta", "electra", "deberta", "deberta-v2", "albert", "camembert", "mpnet", "nomic_bert", "distilbert")
_RMS = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3", "olmo2", "granite", "smollm3")
NOT_ONE_BLOCK: dict[str, str] = {
    **dict.fromkeys(("t5", "mt5", "bart"), "an encoder-decoder"),
    **dict.fromkeys(("mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3"), "a mixture of experts"),
    "mamba": "a state-space model",
}
"""Architectures whose parameters are counted and whose memory and time are not predicted → what they are instead of one kind of dense block."""
_DISENTANGLED = ("deberta", "deberta-v2")


@dataclass(frozen=True)
class Block:
    """The widths of one transformer block, and how often a forward runs it.

    Attributes:
        hidden, queries, keys, inner: widths of the stream, of the queries, of the keys of one layer, of the feed-forward block.
        repeats: forwards through such a block.
        roles: the linear layers of one block.
        total, matrices: numbers in the model, and in all matrix products of a forward (a block that is shared counts as often as it runs).
        held, held_rows: numbers in the matrices of all blocks, a shared block once, and the rows that they have; what a quantized base holds in few bits.
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
    held: int
    held_rows: int
    largest: int
    vocabulary: int
    embedded: int

    @property
    def gated(self) -> bool:
        """True if the feed-forward block has a gate, in a layer of its own or in one with `up`."""
        return "gate" in self.roles or self.roles["up"].out_features == 2 * self.inner


def block_of(config: Config, model: ModelLayers) -> Block | None:
    """Return the block of an architecture; None for those of `NOT_ONE_BLOCK`."""
    model_type = model.model_type
    if model_type in NOT_ONE_BLOCK:
        return None
    roles = _roles_by_rule(model) if model_type in FAMILIES else _roles_by_name(model)
    words = max((layer for layer in model.layers if layer.kind == "embedding"), key=lambda layer: layer.in_features)
    linears = [layer for layer in model.layers if layer.kind == "linear"]
    once = sum(layer.in_features * layer.out_features for layer in roles.values())
    listed = [_in_block(layer.path) and candidate_names([layer.path]) == candidate_names([roles["up"].path]) for layer in linears].count(True)
    queries, keys, heads = _attention_sizes(config, model)
    return Block(
        model_type=model_type,
        hidden=model.sizes.hidden,
        queries=queries,
        keys=keys,
        inner=roles["down"].in_features,
        heads=heads,
        repeats=model.sizes.layers,
        roles=roles,
        post_norm=model_type in _POST_NORM,
        rms=model_type in _RMS,
        relu=model_type == "opt" and config.get("activation_function", "relu") == "relu",
        disentangled=model_type in _DISENTANGLED and bool(config.get("relative_attention")),
        hidden_dropout=_dropout(config, model_type, ("hidden_dropout_prob", "dropout", "resid_pdrop", "resid_dropout", "residual_dropout", "hidden_dropout")),
        attention_dropout=_dropout(config, model_type, ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")),
        total=model.total,
        matrices=sum(layer.in_features * layer.out_features for layer in linears) + once * max(0, model.sizes.layers - listed),
        held=sum(layer.in_features * layer.out_features for layer in linears if _in_block(layer.path)),
        held_rows=sum(layer.out_features for layer in linears if _in_block(layer.path)),
        largest=max(layer.in_features * layer.out_features for layer in model.layers),
        vocabulary=words.in_features,
        embedded=words.out_features,
    )


def _attention_sizes(config: Config, model: ModelLayers) -> tuple[int, int, int]:
    """Return the widths of queries and keys, and the number of heads."""
    if model.model_type in FAMILIES:
        found = FAMILIES[model.model_type].numbers(config)
        return found["queries"], found["keys"], found["heads"]
    hidden, heads = model.sizes.hidden, config.get("num_attention_heads") or config["n_head"]
    queries, keys = attention_widths(config) if model.sizes.keys != hidden or "head_dim" in config else (hidden, hidden)
    return queries, keys, heads


def _roles_by_name(model: ModelLayers) -> dict[Role, Layer]:
    roles: dict[Role, Layer] = {}
    for layer in model.layers:
        role = _role(layer.path) if layer.kind == "linear" and _in_block(layer.path) else None
        if role is not None:
            roles.setdefault(role, layer)
    return roles


def _roles_by_rule(model: ModelLayers) -> dict[Role, Layer]:
    """Return the parts that the structural rule finds; a layer for queries, keys and values together counts as "q", as in the table."""
    by_path = {layer.path: layer for layer in model.layers}
    roles: dict[Role, Layer] = {}
    for found in found_layers(model.linears):
        role = _role_of(found)
        if role is not None:
            roles.setdefault(role, by_path[found.linear.path])
    return roles


def _role_of(found: Found) -> Role | None:
    match found.role:
        case "attention_in":
            return "q" if "q" in found.makes else "k" if "k" in found.makes else "v"
        case "attention_out":
            return "o"
        case "feed_forward_in":
            return "gate" if found.linear.leaf == "gate_proj" else "up"
        case "feed_forward_out":
            return "down"
        case "mixer_in":
            return None


def sites_of(method: MethodConfig, block: Block, model: ModelLayers) -> dict[Role, Side]:
    """Return the layers of a block of `model` that a method changes, and on which side."""
    if method.attachment is None:
        return {}
    sites = (known_sites if method.targets else sites_for)(block.model_type, method.type, linears=model.linears)
    names = method.targets or sites.names
    hit = {role: layer for role, layer in block.roles.items() if _matches(layer, names)}
    return {role: "input" if _on_input(layer, method, sites) else "output" for role, layer in hit.items()}


def _on_input(layer: Layer, method: MethodConfig, sites: Sites) -> bool:
    return is_on_input(Linear(layer.path, layer.in_features, layer.out_features), sites=sites, method=method.type)


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
