"""The layers of transformers' decoders, from config.json: OPT, Phi, Llama and those built like it, GPT-2, GPT-NeoX. As `encoders.py`.

`labels` None means the language-model head, otherwise the head `score`, which has no bias.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loretta_core.plan.architectures.layers import Layer, embedding, linear, norm

Config = Mapping[str, Any]

_HEAD_DIM = {"gemma": 256, "qwen3": 128}
"""Where a missing head_dim does not mean hidden_size / num_attention_heads."""
_KEY_VALUE_HEADS = {"mistral": 8, "gemma": 16, "qwen2": 32, "qwen3": 32}
"""Where a missing num_key_value_heads does not mean num_attention_heads."""
_TIED = ("opt", "gemma", "gpt2")


def opt(config: Config, labels: int | None) -> Iterator[Layer]:
    hidden, inner = config["hidden_size"], config["ffn_dim"]
    narrow = config.get("word_embed_proj_dim") or hidden
    bias, affine = config.get("enable_bias", True), config.get("layer_norm_elementwise_affine", True)
    path = "model.decoder"
    yield embedding(f"{path}.embed_tokens", config["vocab_size"], narrow)
    yield embedding(f"{path}.embed_positions", config["max_position_embeddings"] + 2, hidden)
    if narrow != hidden:
        yield linear(f"{path}.project_in", narrow, hidden, bias=False)
        yield linear(f"{path}.project_out", hidden, narrow, bias=False)
    norms = [f"{path}.final_layer_norm"] if config.get("do_layer_norm_before", True) and not config.get("_remove_final_layer_norm", False) else []
    for index in range(config["num_hidden_layers"]):
        block = f"{path}.layers.{index}"
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield linear(f"{block}.self_attn.{name}", hidden, hidden, bias=bias)
        yield linear(f"{block}.fc1", hidden, inner, bias=bias)
        yield linear(f"{block}.fc2", inner, hidden, bias=bias)
        norms += [f"{block}.self_attn_layer_norm", f"{block}.final_layer_norm"]
    if affine:
        yield from (norm(name, hidden) for name in norms)
    yield from _head(config, labels, width=narrow)


def phi(config: Config, labels: int | None) -> Iterator[Layer]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries, keys = attention_widths(config)
    yield embedding("model.embed_tokens", config["vocab_size"], hidden)
    for index in range(config["num_hidden_layers"]):
        path = f"model.layers.{index}"
        yield linear(f"{path}.self_attn.q_proj", hidden, queries)
        yield linear(f"{path}.self_attn.k_proj", hidden, keys)
        yield linear(f"{path}.self_attn.v_proj", hidden, keys)
        yield linear(f"{path}.self_attn.dense", queries, hidden)
        if config.get("qk_layernorm", False):
            yield norm(f"{path}.self_attn.q_layernorm", hidden // config["num_attention_heads"])
            yield norm(f"{path}.self_attn.k_layernorm", hidden // config["num_attention_heads"])
        yield linear(f"{path}.mlp.fc1", hidden, inner)
        yield linear(f"{path}.mlp.fc2", inner, hidden)
        yield norm(f"{path}.input_layernorm", hidden)
    yield norm("model.final_layernorm", hidden)
    yield from _head(config, labels, width=hidden, bias=True)


def llama(config: Config, labels: int | None) -> Iterator[Layer]:
    """Yield the layers of Llama, Mistral, Qwen2, Qwen3 and Gemma."""
    hidden, inner, model_type = config["hidden_size"], config["intermediate_size"], config["model_type"]
    queries, keys = attention_widths(config)
    takes_bias = model_type != "mistral" and config.get("attention_bias", False)
    bias = {"q_proj": takes_bias, "k_proj": takes_bias, "v_proj": takes_bias, "o_proj": takes_bias}
    if model_type == "qwen2":
        bias = {"q_proj": True, "k_proj": True, "v_proj": True, "o_proj": False}
    yield embedding("model.embed_tokens", config["vocab_size"], hidden)
    for index in range(config["num_hidden_layers"]):
        path = f"model.layers.{index}"
        for name, width in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
            yield linear(f"{path}.self_attn.{name}", hidden, width, bias=bias[name])
        yield linear(f"{path}.self_attn.o_proj", queries, hidden, bias=bias["o_proj"])
        if model_type == "qwen3":
            yield norm(f"{path}.self_attn.q_norm", head_width(config), bias=False)
            yield norm(f"{path}.self_attn.k_norm", head_width(config), bias=False)
        inner_bias = model_type == "llama" and config.get("mlp_bias", False)
        yield linear(f"{path}.mlp.gate_proj", hidden, inner, bias=inner_bias)
        yield linear(f"{path}.mlp.up_proj", hidden, inner, bias=inner_bias)
        yield linear(f"{path}.mlp.down_proj", inner, hidden, bias=inner_bias)
        yield norm(f"{path}.input_layernorm", hidden, bias=False)
        yield norm(f"{path}.post_attention_layernorm", hidden, bias=False)
    yield norm("model.norm", hidden, bias=False)
    yield from _head(config, labels, width=hidden)


def gpt2(config: Config, labels: int | None) -> Iterator[Layer]:
    hidden = config["n_embd"]
    inner = config.get("n_inner") or 4 * hidden
    yield embedding("transformer.wte", config["vocab_size"], hidden)
    yield embedding("transformer.wpe", config["n_positions"], hidden)
    for index in range(config["n_layer"]):
        path = f"transformer.h.{index}"
        yield norm(f"{path}.ln_1", hidden)
        yield linear(f"{path}.attn.c_attn", hidden, 3 * hidden)
        yield linear(f"{path}.attn.c_proj", hidden, hidden)
        yield norm(f"{path}.ln_2", hidden)
        yield linear(f"{path}.mlp.c_fc", hidden, inner)
        yield linear(f"{path}.mlp.c_proj", inner, hidden)
    yield norm("transformer.ln_f", hidden)
    yield from _head(config, labels, width=hidden)


def gpt_neox(config: Config, labels: int | None) -> Iterator[Layer]:
    hidden, inner, bias = config["hidden_size"], config["intermediate_size"], config.get("attention_bias", True)
    yield embedding("gpt_neox.embed_in", config["vocab_size"], hidden)
    for index in range(config["num_hidden_layers"]):
        path = f"gpt_neox.layers.{index}"
        yield norm(f"{path}.input_layernorm", hidden)
        yield norm(f"{path}.post_attention_layernorm", hidden)
        yield linear(f"{path}.attention.query_key_value", hidden, 3 * hidden, bias=bias)
        yield linear(f"{path}.attention.dense", hidden, hidden, bias=bias)
        yield linear(f"{path}.mlp.dense_h_to_4h", hidden, inner)
        yield linear(f"{path}.mlp.dense_4h_to_h", inner, hidden)
    yield norm("gpt_neox.final_layer_norm", hidden)
    yield from _head(config, labels, width=hidden)


def head_width(config: Config) -> int:
    """Return the width of one attention head."""
    model_type = config["model_type"]
    return config.get("head_dim") or _HEAD_DIM.get(model_type) or config["hidden_size"] // config["num_attention_heads"]


def attention_widths(config: Config) -> tuple[int, int]:
    """Return the widths of the queries and of the keys; with grouped queries the keys are narrower."""
    heads = config["num_attention_heads"]
    groups = config.get("num_key_value_heads") or (heads if "num_key_value_heads" in config else _KEY_VALUE_HEADS.get(config["model_type"], heads))
    return heads * head_width(config), groups * head_width(config)


def _head(config: Config, labels: int | None, *, width: int, bias: bool = False) -> Iterator[Layer]:
    if labels is not None:
        yield linear("score", width, labels, bias=False)
        return
    if not config.get("tie_word_embeddings", config["model_type"] in _TIED):
        yield linear("lm_head", width, config["vocab_size"], bias=bias)
