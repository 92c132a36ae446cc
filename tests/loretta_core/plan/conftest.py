"""Configs whose widths are all different, so that no two can be mixed up, and with the options that change which layers there are."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, PreTrainedModel

from tests import by_rule

_SIZES: dict[str, Any] = {
    "vocab_size": 41,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 80,
    "max_position_embeddings": 24,
    "pad_token_id": 0,
}
_ENCODER: dict[str, Any] = {**_SIZES, "type_vocab_size": 3}
_RELATIVE: dict[str, Any] = {**_ENCODER, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "pooler_hidden_size": 48}
_GROUPED: dict[str, Any] = {**_SIZES, "num_key_value_heads": 2}
_GPT2: dict[str, Any] = {"vocab_size": 41, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 24, "pad_token_id": 0}
_T5: dict[str, Any] = {"vocab_size": 41, "d_model": 48, "d_kv": 8, "d_ff": 80, "num_layers": 2, "num_heads": 4, "pad_token_id": 0, "decoder_start_token_id": 0}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", _ENCODER),
    "roberta": ("roberta", _ENCODER),
    "xlm-roberta": ("xlm-roberta", _ENCODER),
    "electra": ("electra", {**_ENCODER, "embedding_size": 20}),
    "electra-wide": ("electra", {**_ENCODER, "embedding_size": 48}),
    "deberta": ("deberta", _RELATIVE),
    "deberta-base": ("deberta", {**_RELATIVE, "type_vocab_size": 0, "position_biased_input": False, "max_relative_positions": 9}),
    "deberta-plain": ("deberta", {**_ENCODER, "pooler_hidden_size": 48}),
    "deberta-v2": ("deberta-v2", _RELATIVE),
    "deberta-v3": (
        "deberta-v2",
        {**_RELATIVE, "type_vocab_size": 0, "position_biased_input": False, "share_att_key": True, "position_buckets": 5, "norm_rel_ebd": "layer_norm"},
    ),
    "deberta-v2-conv": ("deberta-v2", {**_RELATIVE, "conv_kernel_size": 3, "conv_act": "gelu"}),
    "albert": ("albert", {**_ENCODER, "embedding_size": 20}),
    "albert-groups": ("albert", {**_ENCODER, "embedding_size": 20, "num_hidden_groups": 2, "inner_group_num": 2}),
    "opt": ("opt", {**_SIZES, "ffn_dim": 80}),
    "opt-narrow": ("opt", {**_SIZES, "ffn_dim": 80, "word_embed_proj_dim": 20, "do_layer_norm_before": False}),
    "phi": ("phi", _GROUPED),
    "phi-norms": ("phi", {**_SIZES, "qk_layernorm": True}),
    "llama": ("llama", _GROUPED),
    "llama-biased": ("llama", {**_SIZES, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    "mistral": ("mistral", {**_GROUPED, "head_dim": 20}),
    "qwen2": ("qwen2", _GROUPED),
    "qwen3": ("qwen3", _GROUPED),
    "gemma": ("gemma", {**_GROUPED, "head_dim": 20}),
    "gpt2": ("gpt2", _GPT2),
    "gpt_neox": ("gpt_neox", _SIZES),
    "t5": ("t5", _T5),
    "t5-gated": ("t5", {**_T5, "num_decoder_layers": 3, "feed_forward_proj": "gated-gelu", "d_kv": 10}),
    "bert-untied": ("bert", {**_ENCODER, "tie_word_embeddings": False}),
    "roberta-untied": ("roberta", {**_ENCODER, "tie_word_embeddings": False}),
    "electra-untied": ("electra", {**_ENCODER, "embedding_size": 48, "tie_word_embeddings": False}),
    **{name: (name, fields) for name, fields in by_rule.CONFIGS.items() if name not in by_rule.NOT_TEXT},
    **by_rule.MORE,
}
"""name → (model_type, config)"""

_AUTO: dict[str, Any] = {
    "SEQ_CLS": AutoModelForSequenceClassification,
    "MASKED_LM": AutoModelForMaskedLM,
    "CAUSAL_LM": AutoModelForCausalLM,
    "SEQ_2_SEQ_LM": AutoModelForSeq2SeqLM,
}


@pytest.fixture
def on_meta() -> Callable[..., PreTrainedModel]:
    """Return `on_meta("bert", "SEQ_CLS")` → a model of this config that occupies no memory."""

    def make(name: str, task_type: str, *, labels: int = 3) -> PreTrainedModel:
        model_type, fields = CONFIGS[name]
        with torch.device("meta"):
            return _AUTO[task_type].from_config(AutoConfig.for_model(model_type, num_labels=labels, **fields))

    return make
