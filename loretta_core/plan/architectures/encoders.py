"""The layers of transformers' encoders, from config.json: BERT, RoBERTa, ELECTRA, DeBERTa v1 and v2/v3, ALBERT, and T5 with its decoder.

One function per family, which names what transformers' module of that name contains; where a config leaves a key out, transformers' default is repeated.
`Config` is config.json as a mapping; `labels` is the width of the classification head, or None for the language-model head.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loretta_core.plan.architectures.layers import Layer, bare_bias, embedding, linear, norm

Config = Mapping[str, Any]


def bert(config: Config, labels: int | None) -> Iterator[Layer]:
    hidden = config["hidden_size"]
    yield from _embeddings("bert.embeddings", config, width=hidden)
    yield from _bert_blocks("bert.encoder", config)
    if labels is None:
        yield from _legacy_lm_head(config)
    else:
        yield linear("bert.pooler.dense", hidden, hidden)
        yield linear("classifier", hidden, labels)


def roberta(config: Config, labels: int | None) -> Iterator[Layer]:
    hidden = config["hidden_size"]
    yield from _embeddings("roberta.embeddings", config, width=hidden)
    yield from _bert_blocks("roberta.encoder", config)
    if labels is None:
        yield linear("lm_head.dense", hidden, hidden)
        yield norm("lm_head.layer_norm", hidden)
        yield bare_bias("lm_head.bias", config["vocab_size"])
        yield from _untied("lm_head.decoder", config, width=hidden)
    else:
        yield from _two_layer_classifier(hidden, labels)


def electra(config: Config, labels: int | None) -> Iterator[Layer]:
    hidden, narrow = config["hidden_size"], config.get("embedding_size", 128)
    yield from _embeddings("electra.embeddings", config, width=narrow)
    if narrow != hidden:
        yield linear("electra.embeddings_project", narrow, hidden)
    yield from _bert_blocks("electra.encoder", config)
    if labels is None:
        yield norm("generator_predictions.LayerNorm", narrow)
        yield linear("generator_predictions.dense", hidden, narrow)
        yield bare_bias("generator_lm_head.bias", config["vocab_size"])
        yield from _untied("generator_lm_head", config, width=narrow, bias=False)
    else:
        yield from _two_layer_classifier(hidden, labels)


def deberta(config: Config, labels: int | None) -> Iterator[Layer]:
    hidden = config["hidden_size"]
    attention_type = config.get("pos_att_type") or ()
    yield from _deberta_embeddings(config)
    for index in range(config["num_hidden_layers"]):
        path = f"deberta.encoder.layer.{index}"
        attention = f"{path}.attention.self"
        yield bare_bias(f"{attention}.q_bias", hidden)
        yield bare_bias(f"{attention}.v_bias", hidden)
        yield linear(f"{attention}.in_proj", hidden, 3 * hidden, bias=False)
        if config.get("relative_attention") and "c2p" in attention_type:
            yield linear(f"{attention}.pos_proj", hidden, hidden, bias=False)
        if config.get("relative_attention") and "p2c" in attention_type:
            yield linear(f"{attention}.pos_q_proj", hidden, hidden)
        yield from _after_attention(path, config)
    if config.get("relative_attention"):
        yield embedding("deberta.encoder.rel_embeddings", 2 * _relative_positions(config), hidden)
    yield from _deberta_head(config, labels)


def deberta_v2(config: Config, labels: int | None) -> Iterator[Layer]:
    hidden = config["hidden_size"]
    attention_type = config.get("pos_att_type") or ()
    yield from _deberta_embeddings(config)
    names = ["query_proj", "key_proj", "value_proj"]
    if config.get("relative_attention") and not config.get("share_att_key"):
        names += [name for name, kind in (("pos_key_proj", "c2p"), ("pos_query_proj", "p2c")) if kind in attention_type]
    for index in range(config["num_hidden_layers"]):
        path = f"deberta.encoder.layer.{index}"
        for name in names:
            yield linear(f"{path}.attention.self.{name}", hidden, hidden)
        yield from _after_attention(path, config)
    if config.get("relative_attention"):
        buckets = config.get("position_buckets", -1)
        yield embedding("deberta.encoder.rel_embeddings", 2 * (buckets if buckets > 0 else _relative_positions(config)), hidden)
    if "layer_norm" in str(config.get("norm_rel_ebd", "none")):
        yield norm("deberta.encoder.LayerNorm", hidden)
    if (kernel := config.get("conv_kernel_size", 0)) > 0:
        yield Layer("deberta.encoder.conv.conv", "embedding", kernel * hidden // config.get("conv_groups", 1), hidden, bias=True)
        yield norm("deberta.encoder.conv.LayerNorm", hidden)
    yield from _deberta_head(config, labels)


def albert(config: Config, labels: int | None) -> Iterator[Layer]:
    hidden, narrow, inner = config["hidden_size"], config.get("embedding_size", 128), config["intermediate_size"]
    yield from _embeddings("albert.embeddings", config, width=narrow)
    yield linear("albert.encoder.embedding_hidden_mapping_in", narrow, hidden)
    for group in range(config.get("num_hidden_groups", 1)):  # the layers of a group share one set of weights
        for index in range(config.get("inner_group_num", 1)):
            path = f"albert.encoder.albert_layer_groups.{group}.albert_layers.{index}"
            yield norm(f"{path}.full_layer_layer_norm", hidden)
            for name in ("query", "key", "value", "dense"):
                yield linear(f"{path}.attention.{name}", hidden, hidden)
            yield norm(f"{path}.attention.LayerNorm", hidden)
            yield linear(f"{path}.ffn", hidden, inner)
            yield linear(f"{path}.ffn_output", inner, hidden)
    if labels is None:
        yield norm("predictions.LayerNorm", narrow)
        yield linear("predictions.dense", hidden, narrow)
        yield bare_bias("predictions.bias", config["vocab_size"])
        yield from _untied("predictions.decoder", config, width=narrow)
    else:
        yield linear("albert.pooler", hidden, hidden)
        yield linear("classifier", hidden, labels)


def t5(config: Config, labels: int | None) -> Iterator[Layer]:
    hidden, inner, heads = config["d_model"], config["num_heads"] * config["d_kv"], config["num_heads"]
    inward = ("wi_0", "wi_1") if config.get("feed_forward_proj", "gated-gelu" if config["model_type"] == "mt5" else "relu").startswith("gated") else ("wi",)
    prefix = "" if labels is None else "transformer."
    yield embedding(f"{prefix}shared", config["vocab_size"], hidden)
    for stack, depth, attentions in (
        ("encoder", config["num_layers"], ("SelfAttention",)),
        ("decoder", config.get("num_decoder_layers") or config["num_layers"], ("SelfAttention", "EncDecAttention")),
    ):
        for index in range(depth):
            path = f"{prefix}{stack}.block.{index}.layer"
            for place, attention in enumerate(attentions):
                for name in ("q", "k", "v"):
                    yield linear(f"{path}.{place}.{attention}.{name}", hidden, inner, bias=False)
                yield linear(f"{path}.{place}.{attention}.o", inner, hidden, bias=False)
                yield norm(f"{path}.{place}.layer_norm", hidden, bias=False)
            last = len(attentions)
            for name in inward:
                yield linear(f"{path}.{last}.DenseReluDense.{name}", hidden, config["d_ff"], bias=False)
            yield linear(f"{path}.{last}.DenseReluDense.wo", config["d_ff"], hidden, bias=False)
            yield norm(f"{path}.{last}.layer_norm", hidden, bias=False)
        first = f"{prefix}{stack}.block.0.layer.0.SelfAttention"
        yield embedding(f"{first}.relative_attention_bias", config.get("relative_attention_num_buckets", 32), heads)
        yield norm(f"{prefix}{stack}.final_layer_norm", hidden, bias=False)
    if labels is None:
        yield from _untied("lm_head", config, width=hidden, bias=False)
    else:
        yield linear("classification_head.dense", hidden, hidden)
        yield linear("classification_head.out_proj", hidden, labels)


def _embeddings(path: str, config: Config, *, width: int) -> Iterator[Layer]:
    yield embedding(f"{path}.word_embeddings", config["vocab_size"], width)
    yield embedding(f"{path}.position_embeddings", config.get("max_position_embeddings", 512), width)
    yield embedding(f"{path}.token_type_embeddings", config.get("type_vocab_size", 2), width)
    yield norm(f"{path}.LayerNorm", width)


def _deberta_embeddings(config: Config) -> Iterator[Layer]:
    path, hidden = "deberta.embeddings", config["hidden_size"]
    width = config.get("embedding_size", hidden)
    yield embedding(f"{path}.word_embeddings", config["vocab_size"], width)
    if config.get("position_biased_input", True):
        yield embedding(f"{path}.position_embeddings", config.get("max_position_embeddings", 512), width)
    if config.get("type_vocab_size", 0) > 0:
        yield embedding(f"{path}.token_type_embeddings", config["type_vocab_size"], width)
    if width != hidden:
        yield linear(f"{path}.embed_proj", width, hidden, bias=False)
    yield norm(f"{path}.LayerNorm", hidden)


def _relative_positions(config: Config) -> int:
    longest = config.get("max_relative_positions", -1)
    return longest if longest >= 1 else config.get("max_position_embeddings", 512)


def _bert_blocks(path: str, config: Config) -> Iterator[Layer]:
    hidden = config["hidden_size"]
    for index in range(config["num_hidden_layers"]):
        for name in ("query", "key", "value"):
            yield linear(f"{path}.layer.{index}.attention.self.{name}", hidden, hidden)
        yield from _after_attention(f"{path}.layer.{index}", config)


def _after_attention(path: str, config: Config) -> Iterator[Layer]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    yield linear(f"{path}.attention.output.dense", hidden, hidden)
    yield norm(f"{path}.attention.output.LayerNorm", hidden)
    yield linear(f"{path}.intermediate.dense", hidden, inner)
    yield linear(f"{path}.output.dense", inner, hidden)
    yield norm(f"{path}.output.LayerNorm", hidden)


def _deberta_head(config: Config, labels: int | None) -> Iterator[Layer]:
    if labels is None:
        yield from _legacy_lm_head(config)
    else:
        width = config.get("pooler_hidden_size", config["hidden_size"])
        yield linear("pooler.dense", width, width)
        yield linear("classifier", width, labels)


def _legacy_lm_head(config: Config) -> Iterator[Layer]:
    hidden = config["hidden_size"]
    yield linear("cls.predictions.transform.dense", hidden, hidden)
    yield norm("cls.predictions.transform.LayerNorm", hidden)
    yield bare_bias("cls.predictions.bias", config["vocab_size"])
    yield from _untied("cls.predictions.decoder", config, width=hidden)


def _two_layer_classifier(hidden: int, labels: int) -> Iterator[Layer]:
    yield linear("classifier.dense", hidden, hidden)
    yield linear("classifier.out_proj", hidden, labels)


def _untied(path: str, config: Config, *, width: int, bias: bool = True) -> Iterator[Layer]:
    """Yield the output embedding, where it is not the input embedding; then its bias is one of its own as well."""
    if not config.get("tie_word_embeddings", True):
        yield linear(path, width, config["vocab_size"], bias=bias)
