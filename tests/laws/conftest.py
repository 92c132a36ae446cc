"""Every method on two tiny random models, BERT and Llama, with a classification head and with a language-model head."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
)

from loretta_core.adapters.build import apply_method
from loretta_core.config.method import Adapters, Ft, Lora, LorettaAdp, LorettaRep, MethodConfig

VOCABULARY = 40
BERT = BertConfig(
    vocab_size=VOCABULARY,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=48,
    max_position_embeddings=16,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
LLAMA = LlamaConfig(
    vocab_size=VOCABULARY,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=48,
    max_position_embeddings=16,
    pad_token_id=0,
    tie_word_embeddings=True,
)
BASES: dict[str, tuple[type[PreTrainedModel], BertConfig | LlamaConfig, str]] = {
    "bert-head": (BertForSequenceClassification, BERT, "SEQ_CLS"),
    "bert-prompt": (BertForMaskedLM, BERT, "MASKED_LM"),
    "llama-head": (LlamaForSequenceClassification, LLAMA, "SEQ_CLS"),
    "llama-lm": (LlamaForCausalLM, LLAMA, "CAUSAL_LM"),
}
METHODS: dict[str, MethodConfig] = {
    "loretta_adp": LorettaAdp(type="loretta_adp", tensor_rank=3, bottleneck_size=8),
    "loretta_rep": LorettaRep(type="loretta_rep", tensor_rank=3, r=4),
    "lora": Lora(type="lora", r=4),
    "adapters": Adapters(type="adapters", bottleneck_size=8),
    "ft": Ft(type="ft"),
}


@dataclass
class Case:
    """One method on one model, with the untouched base beside it."""

    method: MethodConfig
    task_type: str
    base: PreTrainedModel
    model: nn.Module
    ids_BL: torch.Tensor

    def logits(self, model: nn.Module | None = None) -> torch.Tensor:
        with torch.no_grad():
            return (model or self.model)(input_ids=self.ids_BL).logits

    def train(self, *, steps: int = 2) -> list[set[str]]:
        """A few AdamW steps on a made-up loss; per step the names of trainable parameters whose gradient is missing or zero."""
        trainable = {name: parameter for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        optimizer = torch.optim.AdamW(trainable.values(), lr=1e-2)
        dead = []
        for _ in range(steps):
            optimizer.zero_grad()
            logits = self.model(input_ids=self.ids_BL).logits.float()
            labels = torch.arange(logits.shape[:-1].numel()) % logits.shape[-1]
            nn.functional.cross_entropy(logits.flatten(0, -2), labels).backward()
            dead.append({name for name, parameter in trainable.items() if parameter.grad is None or not parameter.grad.any()})
            optimizer.step()
        return dead


@pytest.fixture
def make_case() -> Callable[..., Case]:
    def make(base_name: str, method_name: str, *, dtype: torch.dtype = torch.float32) -> Case:
        model_cls, config, task_type = BASES[base_name]
        torch.manual_seed(0)
        base = model_cls(deepcopy(config)).to(dtype).eval()
        _randomize_norms(base)
        ids_BL = torch.randint(1, VOCABULARY, (4, 6))
        model = apply_method(deepcopy(base), method=METHODS[method_name], task_type=task_type)
        return Case(METHODS[method_name], task_type, base, model, ids_BL)

    return make


@torch.no_grad()
def _randomize_norms(model: nn.Module) -> None:
    """Fresh norms are all ones, which would hide a norm that is lost on the way to disk."""
    for name, parameter in model.named_parameters():
        if "norm" in name.lower():
            parameter.add_(0.1 * torch.randn_like(parameter))
