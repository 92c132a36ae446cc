"""The order of training: rows of similar length together, every row equally often, any step without the steps before it."""

import itertools
import json
import random
from collections import Counter

import pytest

from loretta_core.tasks.base import Example
from loretta_core.tasks.collate import POOL, training_batches
from tests.paths import DATA


def rows(count: int, *, longest: int = 60) -> list[Example]:
    rng = random.Random(0)
    return [Example({"input_ids": [0] * rng.randint(3, longest)}, index) for index in range(count)]


def taken(examples, *, steps, batch_size, seed=0, start_step=0):
    stream = training_batches(examples, batch_size=batch_size, seed=seed, start_step=start_step)
    return [[example.label for example in batch] for batch in itertools.islice(stream, steps)]


def by_hand(examples, *, steps, batch_size, seed):
    """The slow twin: the stream of epochs written out, cut into pools, each sorted, cut and shuffled."""
    import torch

    def shuffled(count, *key):
        return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + sum(key))).tolist()

    in_pool = max(1, min(POOL, len(examples) // batch_size))
    stream = [index for epoch in range(steps * batch_size // len(examples) + in_pool + 2) for index in shuffled(len(examples), epoch)]
    batches = []
    for number in range(steps // in_pool + 1):
        pool = stream[number * in_pool * batch_size : (number + 1) * in_pool * batch_size]
        pool = sorted(pool, key=lambda index: len(examples[index].inputs["input_ids"]))
        batches += [pool[batch * batch_size : (batch + 1) * batch_size] for batch in shuffled(in_pool, 500_000, number)]
    return batches[:steps]


@pytest.mark.parametrize(("count", "batch_size"), [(100, 8), (10, 4), (3, 8), (1000, 16)])
def test_equals_the_order_written_out(count, batch_size):
    examples = rows(count)
    assert taken(examples, steps=70, batch_size=batch_size, seed=3) == by_hand(examples, steps=70, batch_size=batch_size, seed=3)


@pytest.mark.parametrize("start", [1, 11, 12, 63])
def test_starts_at_any_step(start):
    examples = rows(100)
    assert taken(examples, steps=5, batch_size=8, start_step=start) == taken(examples, steps=start + 5, batch_size=8)[start:]


def test_every_row_equally_often_and_seeds_differ():
    examples = rows(64)
    seen = Counter(itertools.chain.from_iterable(taken(examples, steps=8 * 5, batch_size=8)))
    assert set(seen.values()) == {5}
    assert len(seen) == 64
    assert taken(examples, steps=8, batch_size=8, seed=1) != taken(examples, steps=8, batch_size=8)


def test_lengths_do_not_rise_over_an_epoch():
    """Sorted rows in sorted order would be a curriculum."""
    examples = rows(512)
    firsts = [len(examples[batch[0]].inputs["input_ids"]) for batch in taken(examples, steps=32, batch_size=16)]
    assert firsts != sorted(firsts)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no folder {DATA}; set LORETTA_TEST_DATA to one with <task>/train.jsonl and validation.jsonl")
@pytest.mark.parametrize(("task", "columns"), [("sst2", ["sentence"]), ("mrpc", ["sentence1", "sentence2"]), ("boolq", ["passage", "question"])])
def test_hardly_anything_but_words_is_computed_on_real_texts(task, columns):
    """At most 1.15 tokens for each useful one, at 1,000 rows and batches of 16 (padding to 128: about 5 on SST-2)."""
    items = [json.loads(line) for line in (DATA / task / "train.jsonl").read_text(encoding="utf-8").splitlines()[:1000]]
    examples = [Example({"input_ids": [0] * (2 + sum(len(item[name].split()) for name in columns))}, 0) for item in items]
    computed = useful = 0
    for batch in itertools.islice(training_batches(examples, batch_size=16, seed=0), 125):
        lengths = [len(example.inputs["input_ids"]) for example in batch]
        computed, useful = computed + max(lengths) * len(lengths), useful + sum(lengths)
    assert computed / useful <= 1.15
