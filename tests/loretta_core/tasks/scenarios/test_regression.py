"""A number between two words: expectation, loss and range, worked by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from loretta_core.errors import DataError
from loretta_core.tasks.collate import Collator
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.head import RegressionHead
from loretta_core.tasks.formats.masked_prompt import MaskedPrompt, MaskedRegression

LOGITS = torch.tensor([0.0, 1.0])


class Fixed(nn.Module):
    """Logits 0 for "terrible" and 1 for "great" everywhere; a head that always says 2."""

    def forward(self, input_ids, attention_mask, **_):
        logits = torch.zeros(*input_ids.shape, 16)
        logits[..., 10] = 1.0
        return SimpleNamespace(logits=logits)


class AlwaysTwo(nn.Module):
    def forward(self, input_ids, attention_mask, **_):
        return SimpleNamespace(logits=torch.full((len(input_ids), 1), 2.0))


def rows(*labels: float) -> list[Row]:
    return [Row({"text": "the film was " + "very " * index + "long"}, label) for index, label in enumerate(labels)]


def test_a_prompted_number_is_the_expectation(tokenizer):
    prompt = MaskedPrompt(tokenizer, template="{text} it was {mask} .", verbalizer=["terrible", "great"], max_length=64)
    objective = MaskedRegression(prompt, low=0.0, high=5.0)
    batch = Collator(tokenizer, device=torch.device("cpu"))(objective.encode(rows(5.0, 1.0)))
    log_p = LOGITS.log_softmax(-1)
    expected = torch.stack([-log_p[1], -(0.8 * log_p[0] + 0.2 * log_p[1])])
    assert objective.loss(Fixed(), batch).item() == pytest.approx(expected.mean().item(), abs=1e-6)
    found = objective.evaluate(Fixed(), batch)
    assert found.predictions == pytest.approx([5 * log_p[1].exp().item()] * 2)
    assert found.loss_sum == pytest.approx(expected.sum().item(), abs=1e-6)
    with pytest.raises(DataError, match=r"row 2: label 6.0, expected a number from 0 to 5"):
        objective.encode(rows(1.0, 6.0))


def test_a_head_is_trained_on_the_squared_error(tokenizer):
    objective = RegressionHead(tokenizer, max_length=64)
    batch = Collator(tokenizer, device=torch.device("cpu"))(objective.encode(rows(5.0, 1.0)))
    assert objective.loss(AlwaysTwo(), batch).item() == pytest.approx((9 + 1) / 2)
    assert objective.evaluate(AlwaysTwo(), batch).predictions == [2.0, 2.0]
