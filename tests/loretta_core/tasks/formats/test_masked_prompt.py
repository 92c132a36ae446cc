"""Prompts are rendered whole, cut in the text only, and read at the mask."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from loretta_core.errors import DataError
from loretta_core.tasks.collate import Collator
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.masked_prompt import MaskedPrompt, verbalizer_ids

TEMPLATE = "{text} it was {mask} ."


def prompt(tokenizer, max_length: int = 64) -> MaskedPrompt:
    return MaskedPrompt(tokenizer, template=TEMPLATE, verbalizer=["terrible", "great"], max_length=max_length)


def test_golden_rendering(tokenizer):
    (example,) = prompt(tokenizer).encode([Row({"text": "the film was long"}, 1)])
    assert tokenizer.decode(example.inputs["input_ids"]) == "[CLS] the film was long it was [MASK] . [SEP]"
    assert example.mask_position == 7


def test_truncation_cuts_the_text_and_keeps_the_prompt(tokenizer):
    (example,) = prompt(tokenizer, 10).encode([Row({"text": "the film was very very very very long"}, 0)])
    assert tokenizer.decode(example.inputs["input_ids"]) == "[CLS] the film was very it was [MASK] . [SEP]"


def test_a_prompt_that_cannot_fit_is_an_error(tokenizer):
    with pytest.raises(DataError, match="row 1: the prompt alone is longer than max_length = 5"):
        prompt(tokenizer, 5).encode([Row({"text": "the film"}, 0)])


def test_a_mask_token_in_the_text_is_an_error_with_the_row(tokenizer):
    with pytest.raises(DataError, match="row 2: 2 mask tokens"):
        prompt(tokenizer).encode([Row({"text": "the film"}, 0), Row({"text": "the [MASK]"}, 0)])


@pytest.mark.parametrize(
    ("words", "message"), [(["unheard", "great"], "'unheard' is 1 tokens"), (["very long", "great"], "is 2 tokens"), (["great", "great"], "same token")]
)
def test_verbalizers_that_cannot_be_told_apart_are_refused(tokenizer, words, message):
    with pytest.raises(DataError, match=message):
        verbalizer_ids(tokenizer, words)


class Echo(nn.Module):
    """Logit of token v at position l is l + v/100."""

    def forward(self, input_ids, attention_mask, **_):
        batch, length = input_ids.shape
        logits = torch.arange(length)[None, :, None] + torch.arange(16)[None, None, :] / 100
        return SimpleNamespace(logits=logits.expand(batch, length, 16).to(torch.bfloat16))


def test_class_logits_are_fp32_at_each_mask_whatever_the_padding(tokenizer):
    objective = prompt(tokenizer)
    examples = objective.encode([Row({"text": "the film"}, 0), Row({"text": "the film was very long and slow"}, 1)])
    batch = Collator(tokenizer, device=torch.device("cpu"))(examples)
    logits_BC = objective.class_logits(Echo(), batch)
    assert logits_BC.dtype == torch.float32
    expected = torch.tensor([[5.11, 5.10], [10.11, 10.10]]).to(torch.bfloat16).float()
    torch.testing.assert_close(logits_BC, expected)
    assert (batch.inputs["input_ids"][torch.arange(2), batch.mask_positions_B] == tokenizer.mask_token_id).all()
