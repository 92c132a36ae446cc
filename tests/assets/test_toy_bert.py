"""toy-bert ships whole, is small, and answers the toy task before any training: better than chance, worse than it could."""

import pytest
import torch
from transformers import BertForMaskedLM

from loretta_core.config.locate import locate
from loretta_core.config.model import Pretrained
from loretta_core.config.task import ToySentiment
from loretta_core.models import load_model, load_tokenizer
from loretta_core.tasks.build import build_objective, load_data
from loretta_core.tasks.collate import Collator
from loretta_core.train.evaluate import evaluate

TOY = Pretrained(type="pretrained", name="toy-bert")


def test_size():
    from pathlib import Path

    files = list(Path(locate(TOY)).iterdir())
    assert sum(path.stat().st_size for path in files) <= 8e6
    assert {path.suffix for path in files} <= {".json", ".safetensors"}
    model = BertForMaskedLM.from_pretrained(locate(TOY))
    assert sum(parameter.numel() for parameter in model.parameters()) <= 2_000_000


def test_zero_shot_is_above_chance_and_below_what_tuning_reaches():
    task = ToySentiment(type="toy_sentiment")
    tokenizer = load_tokenizer(TOY)
    objective = build_objective(task, tokenizer=tokenizer, num_labels=2)
    model = load_model(TOY, objective="prompt", num_labels=2, dtype=torch.float32)
    examples = objective.encode(load_data(task).test)
    outcome = evaluate(model, examples, objective=objective, collate=Collator(tokenizer, device=torch.device("cpu")), batch_size=100)
    assert 0.6 <= outcome.score <= 0.85


@pytest.mark.parametrize("objective", ["head", "prompt"])
def test_both_heads_load(objective):
    model = load_model(TOY, objective=objective, num_labels=2, dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert not model.training
