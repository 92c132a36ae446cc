"""Shapes of common models: the part of their config.json that counting needs, so that a model is planned before it is fetched.

Names are hub ids without the organisation. The numbers were checked by their sums: the parameter counts that come out are those of the model cards (a test).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loretta_core.plan.architectures.layers import ModelLayers

Config = Mapping[str, Any]


def _encoder(model_type: str, *, vocabulary: int, large: bool = False, **more: Any) -> dict[str, Any]:
    sizes = (1024, 24, 16, 4096) if large else (768, 12, 12, 3072)
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    return {"model_type": model_type, "vocab_size": vocabulary, **dict(zip(names, sizes, strict=True)), **more}


def _roberta(*, large: bool = False) -> dict[str, Any]:
    return _encoder("roberta", vocabulary=50265, large=large, max_position_embeddings=514, type_vocab_size=1)


def _deberta(*, large: bool = False) -> dict[str, Any]:
    relative = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
    return _encoder("deberta", vocabulary=50265, large=large, position_biased_input=False, type_vocab_size=0, **relative)


def _deberta_v3(*, large: bool = False) -> dict[str, Any]:
    relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "share_att_key": True, "position_buckets": 256, "norm_rel_ebd": "layer_norm"}
    return _encoder("deberta-v2", vocabulary=128100, large=large, position_biased_input=False, type_vocab_size=0, **relative)


def _albert(*, large: bool = False) -> dict[str, Any]:
    return _encoder("albert", vocabulary=30000, large=large, embedding_size=128)


def _opt(hidden: int, layers: int, heads: int, *, narrow: int | None = None) -> dict[str, Any]:
    special = {"word_embed_proj_dim": narrow, "do_layer_norm_before": False} if narrow else {}
    config = {"model_type": "opt", "vocab_size": 50272, "hidden_size": hidden, "ffn_dim": 4 * hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
    return {**config, "max_position_embeddings": 2048, **special}


def _llama(
    vocabulary: int, hidden: int, inner: int, layers: int, heads: int, keys: int, *, model_type: str = "llama", tied: bool = False, head_dim: int | None = None
) -> dict[str, Any]:
    config = {"model_type": model_type, "vocab_size": vocabulary, "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers}
    return {**config, "num_attention_heads": heads, "num_key_value_heads": keys, "tie_word_embeddings": tied, **({"head_dim": head_dim} if head_dim else {})}


def _bart(hidden: int, layers: int, heads: int) -> dict[str, Any]:
    stacks = {
        f"{stack}_{name}": size for stack in ("encoder", "decoder") for name, size in (("layers", layers), ("ffn_dim", 4 * hidden), ("attention_heads", heads))
    }
    return {"model_type": "bart", "vocab_size": 50265, "d_model": hidden, "max_position_embeddings": 1024, **stacks}


_LLAMA_2 = {"7b": (4096, 11008, 32, 32, 32), "13b": (5120, 13824, 40, 40, 40), "70b": (8192, 28672, 80, 64, 8)}
_LLAMA_3 = {"8B": (4096, 14336, 32, 32, 8), "70B": (8192, 28672, 80, 64, 8)}
_OPT = {"1.3b": (2048, 24, 32), "2.7b": (2560, 32, 32), "6.7b": (4096, 32, 32), "13b": (5120, 40, 40), "30b": (7168, 48, 56), "66b": (9216, 64, 72)}

_CONFIGS: dict[str, dict[str, Any]] = {
    "bert-base-uncased": _encoder("bert", vocabulary=30522),
    "bert-large-uncased": _encoder("bert", vocabulary=30522, large=True),
    "bert-base-cased": _encoder("bert", vocabulary=28996),
    "bert-large-cased": _encoder("bert", vocabulary=28996, large=True),
    "roberta-base": _roberta(),
    "roberta-large": _roberta(large=True),
    "deberta-base": _deberta(),
    "deberta-large": _deberta(large=True),
    "deberta-v3-base": _deberta_v3(),
    "deberta-v3-large": _deberta_v3(large=True),
    "albert-base-v2": _albert(),
    "albert-large-v2": _albert(large=True),
    "opt-125m": _opt(768, 12, 12),
    "opt-350m": _opt(1024, 24, 16, narrow=512),
    **{f"opt-{size}": _opt(*shape) for size, shape in _OPT.items()},
    **{f"Llama-2-{size}{suffix}": _llama(32000, *shape) for size, shape in _LLAMA_2.items() for suffix in ("-hf", "-chat-hf", "")},
    **{f"{name}{size}": _llama(128256, *shape) for name in ("Meta-Llama-3-", "Meta-Llama-3.1-", "Llama-3.1-") for size, shape in _LLAMA_3.items()},
    "Llama-3.3-70B-Instruct": _llama(128256, *_LLAMA_3["70B"]),
    "Llama-3.2-1B": _llama(128256, 2048, 8192, 16, 32, 8, tied=True, head_dim=64),
    "Llama-3.2-3B": _llama(128256, 3072, 8192, 28, 24, 8, tied=True, head_dim=128),
    "Mistral-7B-v0.1": _llama(32000, 4096, 14336, 32, 32, 8, model_type="mistral"),
    "Mistral-7B-v0.3": _llama(32768, 4096, 14336, 32, 32, 8, model_type="mistral"),
    "Qwen2.5-0.5B": _llama(151936, 896, 4864, 24, 14, 2, model_type="qwen2", tied=True),
    "Qwen2.5-1.5B": _llama(151936, 1536, 8960, 28, 12, 2, model_type="qwen2", tied=True),
    "Qwen2.5-7B": _llama(152064, 3584, 18944, 28, 28, 4, model_type="qwen2"),
    "Qwen2.5-14B": _llama(152064, 5120, 13824, 48, 40, 8, model_type="qwen2"),
    "Qwen2.5-32B": _llama(152064, 5120, 27648, 64, 40, 8, model_type="qwen2"),
    "Qwen2.5-72B": _llama(152064, 8192, 29568, 80, 64, 8, model_type="qwen2"),
    "Qwen3-0.6B": _llama(151936, 1024, 3072, 28, 16, 8, model_type="qwen3", tied=True, head_dim=128),
    "gemma-2-2b": _llama(256000, 2304, 9216, 26, 8, 4, model_type="gemma2", tied=True, head_dim=256),
    "gemma-2-9b": _llama(256000, 3584, 14336, 42, 16, 8, model_type="gemma2", tied=True, head_dim=256),
    "Phi-3-mini-4k-instruct": _llama(32064, 3072, 8192, 32, 32, 32, model_type="phi3"),
    "OLMo-2-0425-1B": _llama(100352, 2048, 8192, 16, 16, 16, model_type="olmo2"),
    "OLMo-2-1124-7B": _llama(100352, 4096, 11008, 32, 32, 32, model_type="olmo2"),
    "SmolLM2-135M": _llama(49152, 576, 1536, 30, 9, 3, tied=True),
    "SmolLM3-3B": _llama(128256, 2048, 11008, 36, 16, 4, model_type="smollm3", tied=True),
    "Mixtral-8x7B-v0.1": _llama(32000, 4096, 14336, 32, 32, 8, model_type="mixtral"),
    "falcon-7b": {"model_type": "falcon", "vocab_size": 65024, "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71},
    "gpt-j-6b": {"model_type": "gptj", "vocab_size": 50400, "n_embd": 4096, "n_layer": 28, "n_head": 16},
    "bloom-560m": {"model_type": "bloom", "vocab_size": 250880, "hidden_size": 1024, "n_layer": 24, "n_head": 16},
    "mamba-130m-hf": {"model_type": "mamba", "vocab_size": 50280, "hidden_size": 768, "num_hidden_layers": 24},
    "ModernBERT-base": {**_encoder("modernbert", vocabulary=50368), "num_hidden_layers": 22, "intermediate_size": 1152},
    "ModernBERT-large": {**_encoder("modernbert", vocabulary=50368, large=True), "num_hidden_layers": 28, "intermediate_size": 2624},
    "mpnet-base": _encoder("mpnet", vocabulary=30527, max_position_embeddings=514),
    "camembert-base": _encoder("camembert", vocabulary=32005, max_position_embeddings=514, type_vocab_size=1),
    "distilbert-base-uncased": {"model_type": "distilbert", "vocab_size": 30522, "dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072},
    "bart-base": _bart(768, 6, 12),
    "bart-large": _bart(1024, 12, 16),
    "Qwen3-8B": _llama(151936, 4096, 12288, 36, 32, 8, model_type="qwen3", head_dim=128),
}
KNOWN: dict[str, dict[str, Any]] = {name.lower(): config for name, config in _CONFIGS.items()}
"""hub id without organisation, lower case → config."""


def known_config(name: str) -> Config | None:
    """Return the config of a hub id such as `FacebookAI/roberta-base`; instruction-tuned variants have the shape of their base."""
    last = name.rstrip("/").rpartition("/")[2].lower()
    return KNOWN.get(last) or KNOWN.get(last.removesuffix("-instruct"))


def stored_names(model: ModelLayers) -> frozenset[str]:
    """Return the names of the tensors that published checkpoints hold: all but the classification head, and in DeBERTa the pooler, which trains with it."""
    fresh = ("pooler.",) if model.model_type.startswith("deberta") else ()
    return frozenset(name for layer in model.layers if not layer.path.startswith(fresh or ("\0",)) for name in layer.parameters)
