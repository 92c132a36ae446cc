"""The shipped models are whole, are small, and answer the generated tasks before any training: better than chance, worse than they could."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from loretta_core.config.checkpoints.locate import locate
from loretta_core.config.model import TOY_MODELS, Pretrained
from loretta_core.config.task import ToyEntailment, ToyQa, ToySentiment
from loretta_core.models import load_model, load_tokenizer
from loretta_core.tasks.build import build_objective, load_data
from loretta_core.tasks.collate import Collator
from loretta_core.train.evaluate import evaluate

CLASSES = {"toy-bert": AutoModelForMaskedLM, "toy-llama": AutoModelForCausalLM}
TASKS = {
    "toy-bert sentiment": ToySentiment(type="toy_sentiment"),
    "toy-llama sentiment": ToySentiment(type="toy_sentiment", objective="causal"),
    "toy-llama entailment": ToyEntailment(type="toy_entailment"),
    "toy-llama qa": ToyQa(type="toy_qa"),
}


def shipped(name: str) -> Pretrained:
    return Pretrained(type="pretrained", name=name)


@pytest.mark.parametrize("name", TOY_MODELS)
def test_size(name):
    files = list(Path(locate(shipped(name))).iterdir())
    assert sum(path.stat().st_size for path in files) <= 8e6
    assert {path.suffix for path in files} <= {".json", ".safetensors"}
    model = CLASSES[name].from_pretrained(locate(shipped(name)))
    assert sum(parameter.numel() for parameter in model.parameters()) <= 2_000_000


@pytest.mark.integration
@pytest.mark.parametrize("case", TASKS)
def test_zero_shot_is_above_chance_and_below_what_tuning_reaches(case):
    task, config = TASKS[case], shipped(case.split()[0])
    tokenizer, data = load_tokenizer(config), load_data(task)
    objective = build_objective(task, tokenizer=tokenizer, num_labels=data.outputs)
    model = load_model(config, objective=task.objective, num_labels=data.outputs, dtype=torch.float32)
    collate = Collator(tokenizer, device=torch.device("cpu"))
    outcome = evaluate(model, objective.encode(data.test), objective=objective, collate=collate, batch_size=100, scorer=data.scorer)
    assert 0.6 <= outcome.score <= 0.85


@pytest.mark.parametrize(("name", "objective"), [("toy-bert", "head"), ("toy-bert", "prompt"), ("toy-llama", "head"), ("toy-llama", "causal")])
def test_every_head_loads(name, objective):
    model = load_model(shipped(name), objective=objective, num_labels=2, dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert not model.training


def test_a_line_break_is_a_token_that_ends_answers():
    tokenizer = load_tokenizer(shipped("toy-llama"))
    tokens = tokenizer("how was it ? warm\n")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(tokens) == ["<s>", "how", "was", "it", "?", "warm", "\n"]
    assert tokenizer.unk_token_id not in tokens
