"""Logits of chosen positions are those of a whole forward, and the others are never made."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, DebertaV2Config, DistilBertConfig, GPT2Config, Phi3Config, Qwen2Config

from loretta_core.adapters.build import apply_method
from loretta_core.config import FAMILIES
from loretta_core.tasks.formats.label_logits import logits_at
from tests.loretta_core.zo.test_variants import CONFIGS, SIZES

MORE = {
    "distilbert": DistilBertConfig(dim=64, n_layers=2, n_heads=4, hidden_dim=96, vocab_size=50, max_position_embeddings=40),
    "deberta-v2": DebertaV2Config(**SIZES, intermediate_size=96, relative_attention=True, pos_att_type=["c2p", "p2c"], max_relative_positions=20),
    "gpt2": GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=50, n_positions=40, bos_token_id=1, eos_token_id=2),
    "qwen2": Qwen2Config(**SIZES, intermediate_size=96, num_key_value_heads=2),
    "phi3": Phi3Config(**SIZES, intermediate_size=96, num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2),
}
MASKED = ("bert", "roberta", "deberta", "distilbert", "deberta-v2")


def model_of(name):
    torch.manual_seed(0)
    kind = AutoModelForMaskedLM if name in MASKED else AutoModelForCausalLM
    return kind.from_config({**CONFIGS, **MORE}[name]).eval()


def batch():
    ids_SL = torch.randint(5, 50, (3, 12), generator=torch.Generator().manual_seed(1))
    real_SL = torch.ones_like(ids_SL)
    real_SL[0, 9:] = 0
    chosen_SL = torch.zeros(3, 12, dtype=torch.bool)
    chosen_SL[0, 8] = chosen_SL[1, 3] = chosen_SL[1, 11] = chosen_SL[2, 0] = True
    return {"input_ids": ids_SL, "attention_mask": real_SL}, chosen_SL, dict(zip(("sequence_T", "position_T"), chosen_SL.nonzero(as_tuple=True), strict=True))


@pytest.mark.parametrize("name", [*CONFIGS, *MORE])
@torch.no_grad()
def test_they_are_those_of_a_whole_forward(name):
    model = model_of(name)
    inputs, chosen_SL, places = batch()
    torch.testing.assert_close(logits_at(model, inputs, **places), model(**inputs).logits[chosen_SL], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["lora", "prompt", "loretta_rep"])
@torch.no_grad()
def test_on_adapted_models_too(method):
    model = apply_method(model_of("llama"), method=FAMILIES["method"][method](type=method), task_type="CAUSAL_LM").eval()
    inputs, chosen_SL, places = batch()
    whole = model(**inputs).logits
    torch.testing.assert_close(logits_at(model, inputs, **places), whole[chosen_SL], rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_the_head_sees_the_chosen_positions_only():
    model = model_of("llama")
    inputs, _, places = batch()
    seen = []
    model.lm_head.register_forward_hook(lambda module, arguments, output: seen.append(tuple(output.shape)))
    logits_at(model, inputs, **places)
    model(**inputs)
    assert seen == [(4, 50), (3, 12, 50)]
