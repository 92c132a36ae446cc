"""Texts of a classification head: one, a pair, or more behind the tokenizer's separator."""

import pytest

from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.head import encode_texts


@pytest.mark.parametrize(
    ("columns", "expected"), [(1, "[CLS] the [SEP]"), (3, "[CLS] the [SEP] film [SEP] was [SEP]"), (4, "[CLS] the [SEP] film [SEP] was [SEP] it [SEP]")]
)
def test_more_than_two_columns(tokenizer, columns, expected):
    tokenizer.backend_tokenizer.post_processor = _pairs()
    row = Row(dict(zip("abcd"[:columns], ["the", "film", "was", "it"], strict=False)), 0)
    (example,) = encode_texts([row], tokenizer=tokenizer, max_length=20)
    assert tokenizer.decode(example.inputs["input_ids"]) == expected


def test_without_a_separator_columns_have_a_line_each(tokenizer):
    tokenizer.sep_token = None
    (example,) = encode_texts([Row({"a": "the", "b": "film", "c": "was"}, 0)], tokenizer=tokenizer, max_length=20)
    assert "film was" in tokenizer.decode(example.inputs["input_ids"])  # the words of this tokenizer end at any blank


def _pairs():
    from tokenizers import processors

    return processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
