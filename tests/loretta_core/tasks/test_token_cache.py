"""The same rows are tokenised once; anything that tokens depend on makes another key."""

import pytest

from loretta_core.config.task import ToySentiment
from loretta_core.tasks import token_cache
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.masked_prompt import MaskedPrompt
from loretta_core.tasks.token_cache import encode_once

TASK = ToySentiment(type="toy_sentiment")
ROWS = [Row({"text": "the film was long"}, 1), Row({"text": "the film"}, 0)]


@pytest.fixture(autouse=True)
def _empty_cache():
    token_cache.clear_cache()


def encode(tokenizer, rows=ROWS, *, task=TASK, training=False):
    objective = MaskedPrompt(tokenizer, template="{text} it was {mask} .", verbalizer=["terrible", "great"], max_length=task.max_length)
    return encode_once(objective, rows, training=training, task=task, tokenizer=tokenizer)


def test_the_second_time_is_the_same_list_and_equals_a_fresh_one(tokenizer):
    first = encode(tokenizer)
    assert encode(tokenizer, [Row(dict(row.text), row.label) for row in ROWS]) is first
    assert MaskedPrompt(tokenizer, template="{text} it was {mask} .", verbalizer=["terrible", "great"], max_length=64).encode(ROWS) == first


def test_other_rows_settings_or_tokenizers_are_other_keys(tokenizer):
    keys = [
        encode(tokenizer),
        encode(tokenizer, [ROWS[0], Row({"text": "the film"}, 1)]),
        encode(tokenizer, training=True),
        encode(tokenizer, task=TASK.model_copy(update={"max_length": 32})),
    ]
    tokenizer.add_tokens(["unheard"])
    keys.append(encode(tokenizer))
    assert len(set(map(id, keys))) == len(keys)


def test_the_cache_is_bounded(tokenizer, monkeypatch):
    monkeypatch.setattr(token_cache, "ROWS_KEPT", 3)
    first, second = encode(tokenizer), encode(tokenizer, [ROWS[0]])
    assert encode(tokenizer) is first
    encode(tokenizer, [ROWS[1]])  # the one used longest ago has to go
    assert encode(tokenizer) is first
    assert encode(tokenizer, [ROWS[0]]) is not second
    large = encode(tokenizer, ROWS * 2)
    assert encode(tokenizer, ROWS * 2) is not large
