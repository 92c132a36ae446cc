"""A prompt computed once gives the scores of prompts computed for every candidate, on every architecture of the list."""

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from loretta_core.config.model import Pretrained
from loretta_core.models import load_tokenizer
from loretta_core.tasks.base import Choice, Example
from loretta_core.tasks.formats import candidates
from loretta_core.tasks.formats.shared_prompt import ARCHITECTURES, can_share, shared_length

SIZES = {
    "vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    "head_dim": 16, "word_embed_proj_dim": 32, "n_embd": 32, "n_layer": 2, "n_head": 2, "max_position_embeddings": 64, "initializer_range": 0.3,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def tiny(model_type: str):
    torch.manual_seed(0)
    known = AutoConfig.for_model(model_type).to_dict()
    config = AutoConfig.for_model(model_type, **{name: value for name, value in SIZES.items() if name in known or name in ("n_embd", "n_layer", "n_head")})
    return AutoModelForCausalLM.from_config(config).eval()


def row(prompt: int, *answers: list[int]) -> Example:
    shared = [1, *((7 * place + prompt) % 50 + 5 for place in range(prompt))]
    choices = tuple(Choice([*shared, *answer], len(answer)) for answer in answers)
    return Example({"input_ids": max((choice.tokens for choice in choices), key=len)}, 0, choices=choices)


ROWS = [row(3, [8], [9]), row(12, [8, 9, 10], [11], [12, 13]), row(1, [5], [6, 7]), row(20, [30, 31], [30, 32], [30, 33], [34])]


def evaluated(model, examples):
    tokenizer = load_tokenizer(Pretrained(type="pretrained", name="toy-llama"))  # encodes nothing here
    objective = candidates.CandidateRanking(tokenizer, max_length=64, rank_loss=True)
    longest = max(len(choice.tokens) for example in examples for choice in example.choices)
    tokens = [choice.tokens for example in examples for choice in example.choices]
    ids_SL = torch.tensor([[*row, *[0] * (longest - len(row))] for row in tokens])
    real_SL = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in tokens])
    batch = candidates.Batch(
        {"input_ids": ids_SL, "attention_mask": real_SL},
        torch.zeros(len(examples), dtype=torch.long),
        scored_S=torch.tensor([choice.scored for example in examples for choice in example.choices]),
        choices_B=tuple(len(example.choices) for example in examples),
        examples=tuple(examples),
    )
    with torch.no_grad():
        return objective.evaluate(model, batch)


@pytest.mark.parametrize("tokens", [1, 60, 8192])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_equals_whole_sequences(model_type, tokens, monkeypatch):
    model = tiny(model_type)
    assert can_share(model)
    monkeypatch.setattr(candidates, "TOKENS", tokens)
    fast = evaluated(model, ROWS)
    monkeypatch.setattr(candidates, "can_share", lambda model: False)
    slow = evaluated(model, ROWS)
    assert fast.loss_sum == pytest.approx(slow.loss_sum, abs=1e-4)
    assert fast.predictions == slow.predictions


def test_computes_a_prompt_once(monkeypatch):
    model, seen = tiny("llama"), []
    model.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True)
    evaluated(model, [row(40, [5], [6], [7], [8])])
    assert sum(seen) == 40 + 4 * 2


def test_methods_that_put_tokens_before_the_text_do_not_share():
    assert can_share(get_peft_model(tiny("llama"), LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])))
    assert not can_share(get_peft_model(tiny("llama"), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)))


def test_the_shared_part_ends_before_the_token_that_predicts_an_answer():
    assert shared_length(ROWS[0]) == 3
    assert shared_length(row(0, [5], [6])) == 0
    differing = Example({}, 0, choices=(Choice([1, 5, 6, 7], 1), Choice([1, 5, 9, 7], 1)))
    assert shared_length(differing) == 2
