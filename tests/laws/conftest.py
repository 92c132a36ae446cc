"""Fixtures: every method, and a tiny random model of every architecture, with a classification head and with a language-model head."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification, PreTrainedModel

from loretta_core.adapters.build import apply_method, save_adapter
from loretta_core.config.method import (
    Adapters,
    Bitfit,
    Ft,
    Ia3,
    Lora,
    LorettaAdp,
    LorettaRep,
    Lorta,
    MetaTT,
    MethodConfig,
    Peft,
    Prefix,
    Prompt,
    Ptune,
    TensorGuide,
    TTLora,
)
from loretta_core.methods import METHODS as TABLE
from loretta_core.sites import BY_RULE, DECODERS
from tests import by_rule

VOCABULARY = 40
_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_ENCODER: dict[str, Any] = {**_SIZES, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "type_vocab_size": 2}
_DEBERTA: dict[str, Any] = {**_ENCODER, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 8, "pooler_hidden_size": 32}
_GROUPED: dict[str, Any] = {**_SIZES, "num_key_value_heads": 2, "head_dim": 8}
_GPT2 = {"n_embd": 32, "n_layer": 1, "n_head": 4, "n_inner": 48, "n_positions": 32, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 1, "num_heads": 4, "dropout_rate": 0.0, "decoder_start_token_id": 0}
_TOKENS = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {**_ENCODER, "num_hidden_layers": 2},
    "roberta": _ENCODER,
    "xlm-roberta": _ENCODER,
    "electra": {**_ENCODER, "embedding_size": 32},
    "deberta": _DEBERTA,
    "deberta-v2": _DEBERTA,
    "albert": {**_ENCODER, "embedding_size": 16, "num_hidden_layers": 2},
    "opt": {**_SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.0},
    "phi": {**_SIZES, "resid_pdrop": 0.0, "embd_pdrop": 0.0},
    "llama": {**_SIZES, "num_hidden_layers": 2, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "mistral": _GROUPED,
    "qwen2": _GROUPED,
    "qwen3": _GROUPED,
    "gemma": _GROUPED,
    "gpt2": {**_TOKENS, **_GPT2},
    "gpt_neox": _SIZES,
    "t5": {**_TOKENS, **_T5},
}
_AUTO: dict[str, Any] = {"SEQ_CLS": AutoModelForSequenceClassification, "MASKED_LM": AutoModelForMaskedLM, "CAUSAL_LM": AutoModelForCausalLM}

# gelu: in models this small all units of a relu can be off for every row.
_CONFIGURED: dict[str, MethodConfig] = {
    "loretta_adp": LorettaAdp(type="loretta_adp", tensor_rank=3, bottleneck_size=8, non_linearity="gelu"),
    "loretta_rep": LorettaRep(type="loretta_rep", tensor_rank=3, r=4),
    "tt_lora": TTLora(type="tt_lora", tensor_rank=3),
    "tt_lora-dota": TTLora(type="tt_lora", tensor_rank=3, init_weights="tt_svd"),
    "metatt": MetaTT(type="metatt", tensor_rank=3),
    "lorta": Lorta(type="lorta", r=4),
    "tensorguide": TensorGuide(type="tensorguide", tensor_rank=3, r=4),
    "adapters": Adapters(type="adapters", bottleneck_size=8, non_linearity="gelu"),
    "lora": Lora(type="lora", r=4),
    "lora-dora": Lora(type="lora", r=4, use_dora=True, use_rslora=True, init_lora_weights="orthogonal"),
    "ia3": Ia3(type="ia3"),
    "prompt": Prompt(type="prompt", num_virtual_tokens=3),
    "prompt-vocabulary": Prompt(type="prompt", num_virtual_tokens=3, prompt_tuning_init="SAMPLE_VOCAB"),
    "prefix": Prefix(type="prefix", num_virtual_tokens=3),
    "prefix-projection": Prefix(type="prefix", num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=8),
    "ptune": Ptune(type="ptune", num_virtual_tokens=3, encoder_hidden_size=8),
    "ptune-lstm": Ptune(type="ptune", num_virtual_tokens=3, encoder_reparameterization_type="LSTM"),
    "bitfit": Bitfit(type="bitfit"),
    "peft": Peft(type="peft", peft_type="VERA", r=4, target_modules="all-linear"),
    "ft": Ft(type="ft"),
}
METHODS = {**{name: cls.model_validate({"type": name}) for name, cls in TABLE.items() if name not in _CONFIGURED}, **_CONFIGURED}
"""One configuration of every method, its defaults where none is chosen here, and those that train other parameters of it."""


def tasks_of(model_type: str) -> list[str]:
    if model_type in BY_RULE:
        return [task for task in by_rule.tasks_of(model_type) if task != "SEQ_2_SEQ_LM"]
    return ["SEQ_CLS"] if model_type == "t5" else ["SEQ_CLS", "CAUSAL_LM" if model_type in DECODERS else "MASKED_LM"]


@dataclass
class Case:
    """A method on a model, with the untouched base beside it."""

    name: str
    method: MethodConfig
    task_type: str
    base: PreTrainedModel
    model: nn.Module
    ids_BL: torch.Tensor
    before: dict[str, torch.Tensor] = field(default_factory=dict)
    """Parameters and buffers as they were before training."""
    dead: list[set[str]] = field(default_factory=list)
    """Per step of the training so far, the trainable parameters whose gradient was missing or zero."""
    tuned: torch.Tensor | None = None
    """Logits after training."""

    @cached_property
    def plain(self) -> torch.Tensor:
        """Logits of the base."""
        return self.logits(self.base)

    def logits(self, model: nn.Module | None = None) -> torch.Tensor:
        with torch.no_grad():
            return (model or self.model)(input_ids=self.ids_BL).logits

    def same(self, left: torch.Tensor, right: torch.Tensor) -> bool:
        """Return whether logits are bitwise the same; T5 rounds differently in two copies of the same model."""
        return torch.allclose(left, right, rtol=0, atol=1e-6) if self.base.config.model_type == "t5" else torch.equal(left, right)

    def train(self) -> torch.Tensor:
        """Return the logits after two AdamW steps on a made-up loss; the steps are made once."""
        if self.tuned is not None:
            return self.tuned
        self.before = {key: value.detach().clone() for key, value in (*self.model.named_parameters(), *self.model.named_buffers())}
        trainable = {key: parameter for key, parameter in self.model.named_parameters() if parameter.requires_grad}
        optimizer = torch.optim.AdamW(trainable.values(), lr=1e-2)
        for _ in range(2):
            optimizer.zero_grad()
            logits = self.model(input_ids=self.ids_BL).logits.float()
            labels = torch.arange(logits.shape[:-1].numel()) % logits.shape[-1]
            nn.functional.cross_entropy(logits.flatten(0, -2), labels).backward()
            self.dead.append({key for key, parameter in trainable.items() if parameter.grad is None or not parameter.grad.any()})
            optimizer.step()
        self.tuned = self.logits()
        return self.tuned

    def save(self, directory: Path) -> None:
        """Save the adapter, once per directory."""
        if not any(directory.iterdir()):
            save_adapter(self.model, directory)


@pytest.fixture
def make_case() -> Callable[..., Case]:
    def make(model_type: str, task_type: str, name: str, *, dtype: torch.dtype = torch.float32) -> Case:
        torch.manual_seed(0)
        base = _model(model_type, task_type).to(dtype).eval()
        _spread(base)
        ids_BL = torch.randint(3, VOCABULARY, (4, 6))
        ids_BL[:, -1] = 2  # T5's classifier reads the end-of-text token
        model = apply_method(deepcopy(base), method=METHODS[name], task_type=task_type)
        return Case(name, METHODS[name], task_type, base, model, ids_BL)

    return make


def _model(model_type: str, task_type: str) -> PreTrainedModel:
    if model_type in BY_RULE:
        return by_rule.build(model_type, task_type=task_type)
    return _AUTO[task_type].from_config(AutoConfig.for_model(model_type, **CONFIGS[model_type]))


@torch.no_grad()
def _spread(model: nn.Module) -> None:
    """Add noise to norms and biases: fresh ones are all 1 or 0, which would hide one that is lost on the way to disk."""
    for name, parameter in model.named_parameters():
        if "norm" in name.lower() or name.endswith("bias"):
            parameter.add_(0.1 * torch.randn_like(parameter))
