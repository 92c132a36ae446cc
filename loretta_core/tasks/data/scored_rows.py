"""The rows that give the score: drawn with a seed of their own, so that `task.data_seed` redraws training and validation rows only, and held out of the
training rows where a task has no others. Texts that they share with other splits are counted.
"""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TypeVar

from loretta_core.tasks.data.reading.disk_list import chosen
from loretta_core.tasks.data.rows import Row, TaskData

TEST_SEED = 0
"""Seed of every draw of test rows."""

MOST_HELD_OUT = 1000
"""Test rows that are held out of many training rows where the task does not say how many (low-data setting: 1,000)."""
FEWEST_HELD_OUT = 10
"""Fewer are not worth their loss in training: a score on nine rows says little more than none."""

T = TypeVar("T")


def draw_test_rows(rows: Sequence[T], limit: int) -> list[T]:
    """Draw `limit` test rows, the same ones whatever the seeds of a cell and of its task."""
    return random.Random(TEST_SEED).sample(rows, limit)


def hold_out(train: Sequence[Row], *, validation: Collection[Row], wanted: int | None) -> tuple[Sequence[Row], Sequence[Row]]:
    """Split training rows into those that stay and the test rows: `wanted` of them, at most a fifth of all.

    A test row shares its text with no other row, of training or validation. The second list is empty where there would be fewer than FEWEST_HELD_OUT.
    """
    keys, known = array("q", map(_hashed, train)), set(map(_hashed, validation))
    counts = Counter(keys)
    unique = [index for index, key in enumerate(keys) if counts[key] == 1 and key not in known]
    limit = min(wanted or MOST_HELD_OUT, len(train) // 5, len(unique))
    if limit < FEWEST_HELD_OUT:
        return train, []
    held = draw_test_rows(unique, limit)
    taken = set(held)
    return chosen(train, [index for index in range(len(train)) if index not in taken]), [train[index] for index in held]


def text_key(row: Row) -> tuple[str, ...]:
    """Return the texts of a row without regard to case and blanks."""
    return tuple(" ".join(text.split()).casefold() for text in row.text.values())


def _hashed(row: Row) -> int:
    """Return 64 bits of a row's texts, which stand for them in tables of millions of rows."""
    return hash(text_key(row))


def count_shared(rows: Sequence[Row], *, others: Sequence[Row]) -> int:
    """Return how many of the rows have a text that is also the text of one of `others`."""
    known = set(map(_hashed, others))
    return sum(_hashed(row) in known for row in rows)


def repeated_texts(data: TaskData) -> list[str]:
    """Return a note on each split in which texts occur more than once."""
    splits = {"training": data.train, "validation": data.validation} | ({"test": data.test} if data.scored_on == "test" else {})
    counts = {name: (len(rows) - len(set(map(_hashed, rows))), len(rows)) for name, rows in splits.items()}
    return [f"{repeated} of {rows} {name} texts occur before in the same split" for name, (repeated, rows) in counts.items() if repeated]
