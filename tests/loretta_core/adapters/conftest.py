"""A tiny random model of every architecture in the site table."""

import socket
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification, PreTrainedModel

from tests import by_rule

_SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_ENCODER: dict[str, Any] = {**_SIZES, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "type_vocab_size": 2}
_DEBERTA: dict[str, Any] = {**_ENCODER, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 8, "pooler_hidden_size": 32}
_DECODER: dict[str, Any] = {**_SIZES, "num_key_value_heads": 2, "head_dim": 8}

CONFIGS: dict[str, dict[str, Any]] = {
    "bert": _ENCODER,
    "roberta": _ENCODER,
    "xlm-roberta": _ENCODER,
    "electra": {**_ENCODER, "embedding_size": 16},
    "deberta": _DEBERTA,
    "deberta-v2": _DEBERTA,
    "albert": {**_ENCODER, "embedding_size": 16},
    "opt": {**_SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.0},
    "phi": {**_SIZES, "resid_pdrop": 0.0, "embd_pdrop": 0.0},
    "llama": _DECODER,
    "mistral": _DECODER,
    "qwen2": _DECODER,
    "qwen3": _DECODER,
    "gemma": _DECODER,
    "gpt2": {
        "vocab_size": 40,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_inner": 48,
        "n_positions": 16,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "gpt_neox": _SIZES,
    "t5": {
        "vocab_size": 40,
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 48,
        "num_layers": 2,
        "num_heads": 4,
        "pad_token_id": 0,
        "eos_token_id": 2,
        "dropout_rate": 0.0,
        "decoder_start_token_id": 0,
    },
}

_HEADS = {"SEQ_CLS": AutoModelForSequenceClassification, "MASKED_LM": AutoModelForMaskedLM, "CAUSAL_LM": AutoModelForCausalLM}


@pytest.fixture
def tiny():
    """Return `tiny("bert")` → a random classification model in eval mode."""

    def make(model_type: str, *, task_type: str = "SEQ_CLS", seed: int = 0, **overrides: Any) -> PreTrainedModel:
        torch.manual_seed(seed)
        return _HEADS[task_type].from_config(AutoConfig.for_model(model_type, **{**(CONFIGS | by_rule.CONFIGS)[model_type], **overrides})).eval()

    return make


@pytest.fixture
def token_ids():
    tokens = torch.randint(3, 40, (3, 6), generator=torch.Generator().manual_seed(0))
    tokens[:, -1] = 2  # T5's classifier reads the end-of-text token
    return tokens


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
