"""A tree of answers gives the losses and gradients of one sequence a choice, on every architecture of the list."""

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from loretta_core.config.model import Pretrained
from loretta_core.models import load_tokenizer
from loretta_core.tasks.answer_tree import ARCHITECTURES, answer_tree, can_branch
from loretta_core.tasks.base import Choice, Example
from loretta_core.tasks.collate import Collator
from loretta_core.tasks.formats import candidates
from loretta_core.zo.optim import ZOSGD
from loretta_core.zo.variants import Batched

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


CPU = torch.device("cpu")


def batch_of(examples, *, trees: bool):
    tokenizer = load_tokenizer(Pretrained(type="pretrained", name="toy-llama"))  # encodes nothing here
    batch = Collator(tokenizer, device=CPU, trees=trees)(examples)
    assert (batch.places is not None) is trees
    return batch


def objective():
    return candidates.CandidateRanking(load_tokenizer(Pretrained(type="pretrained", name="toy-llama")), max_length=64, rank_loss=True)


def loss_and_gradients(model, batch):
    model.zero_grad()
    loss = objective().loss(model, batch)
    loss.backward()
    return loss.item(), {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_trains_as_one_sequence_a_choice(model_type):
    model = tiny(model_type)
    assert can_branch(model)
    (loss, gradients), (twin, twins) = (loss_and_gradients(model, batch_of(ROWS, trees=trees)) for trees in (True, False))
    assert loss == pytest.approx(twin, abs=1e-5)
    assert gradients.keys() == twins.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, twins[name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tokens", [1, 60, 8192])
@pytest.mark.parametrize("trees", [True, False])
@torch.no_grad()
def test_scores_do_not_depend_on_the_size_of_a_forward(tokens, trees, monkeypatch):
    model = tiny("llama")
    twin = objective().evaluate(model, batch_of(ROWS, trees=False))
    monkeypatch.setattr(candidates, "TOKENS", tokens)
    found = objective().evaluate(model, batch_of(ROWS, trees=trees))
    assert found.loss_sum == pytest.approx(twin.loss_sum, abs=1e-4)
    assert found.predictions == twin.predictions


def test_variants_in_one_forward_give_the_losses_of_variants_one_by_one():
    model = get_peft_model(tiny("llama"), LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], init_lora_weights=False)).eval()
    optimizers = [ZOSGD([p for p in model.parameters() if p.requires_grad], lr=0.0, zo_eps=1e-2) for _ in range(4)]
    found = []
    for number, optimizer in enumerate(optimizers):
        batch = batch_of(ROWS, trees=number % 2 == 0)
        if number > 1:
            optimizer.evaluator = Batched(model)
        found.append(float(optimizer.step(lambda batch=batch: objective().loss(model, batch))))
    assert found == pytest.approx([found[0]] * 4, abs=1e-5)


def test_padding_changes_nothing():
    model, batch = tiny("llama"), batch_of(ROWS, trees=True)
    longer = Collator(load_tokenizer(Pretrained(type="pretrained", name="toy-llama")), device=CPU).padded_to(batch, 50)
    assert longer.inputs["input_ids"].shape == (4, 50)
    assert longer.inputs["attention_mask"].shape == (4, 1, 50, 50)
    assert objective().loss(model, longer).item() == pytest.approx(objective().loss(model, batch).item(), abs=1e-6)


def test_computes_every_token_once():
    model, seen = tiny("llama"), []
    model.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True)
    many = row(40, [5], [6, 7, 8], [6, 7, 9], [8])
    objective().loss(model, batch_of([many], trees=True))
    assert seen == [41 + 2]  # 6 and 7: last tokens are predicted, never read


def test_answers_of_one_token_are_a_chain_that_every_model_reads():
    tokenizer = load_tokenizer(Pretrained(type="pretrained", name="toy-llama"))
    batch = Collator(tokenizer, device=CPU)([row(3, [8], [9]), row(5, [8], [9])])
    assert batch.inputs.keys() == {"input_ids", "attention_mask"}
    assert batch.inputs["input_ids"].shape == (2, 6)


@pytest.mark.parametrize("method", [PromptTuningConfig, PrefixTuningConfig])
def test_methods_that_put_tokens_before_the_text_read_chains_only(method):
    assert can_branch(get_peft_model(tiny("llama"), LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])))
    model = get_peft_model(tiny("llama"), method(task_type="CAUSAL_LM", num_virtual_tokens=2))
    assert not can_branch(model)
    one_token = [row(3, [8], [9]), row(12, [8], [7])]
    chains = Collator(load_tokenizer(Pretrained(type="pretrained", name="toy-llama")), device=CPU)(one_token)
    longer = [row(3, [8], [9], [4, 5], [3, 5]), row(12, [8], [7], [4, 5], [3, 5])]  # branches make every choice a sequence
    scores = [candidates.answer_scores(model, batch) for batch in (chains, batch_of(longer, trees=False))]
    torch.testing.assert_close(scores[0], scores[1][[0, 1, 4, 5]], atol=1e-5, rtol=1e-5)


def test_a_tree_has_every_common_beginning_once():
    tree = answer_tree([Choice([1, 5, 6, 7, 8], 2), Choice([1, 5, 6, 7, 9], 2), Choice([1, 5, 6, 2], 1), Choice([1, 5, 6, 3, 4], 2)])
    assert tree.tokens == [1, 5, 6, 7, 3]
    assert tree.parents == [-1, 0, 1, 2, 2]
    assert tree.predictors == [[2, 3], [2, 3], [2], [2, 4]]
    assert tree.branches
    assert not answer_tree([Choice([1, 5, 6, 7], 2), Choice([1, 5, 8], 1)]).branches
