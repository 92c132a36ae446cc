"""An encoder's scores depend neither on the side that its tokenizer pads nor on the rows beside a row."""

import pytest
import torch

from loretta_core.config.model import Pretrained
from loretta_core.config.task import ToyEntailment, ToySentiment
from loretta_core.models import load_model, load_tokenizer
from loretta_core.tasks.build import build_objective, load_data
from loretta_core.tasks.collate import Collator
from loretta_core.train.evaluate import evaluate

TOY = Pretrained(type="pretrained", name="toy-bert")
SMALL = {"train_rows": 2, "validation_rows": 2, "test_rows": 30}
TASKS = [
    ToySentiment(type="toy_sentiment", **SMALL),
    ToySentiment(type="toy_sentiment", objective="head", **SMALL),
    ToyEntailment(type="toy_entailment", objective="head", **SMALL),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.type} {task.objective}")
def test_side_and_batch_size_change_nothing(task):
    torch.manual_seed(0)
    model = load_model(TOY, objective=task.objective, num_labels=2, dtype=torch.float32)
    rows, outcomes = load_data(task).test, []
    for side, batch_size in (("right", 30), ("left", 30), ("right", 1), ("left", 7)):
        tokenizer = load_tokenizer(TOY)
        tokenizer.padding_side = side
        objective = build_objective(task, tokenizer=tokenizer, num_labels=2)
        collate = Collator(tokenizer, device=torch.device("cpu"))
        outcomes.append(evaluate(model, objective.encode(rows), objective=objective, collate=collate, batch_size=batch_size))
    assert len({outcome.predictions for outcome in outcomes}) == 1
    assert all(outcome.loss == pytest.approx(outcomes[0].loss, abs=1e-4) for outcome in outcomes)
