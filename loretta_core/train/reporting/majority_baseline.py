"""The score of an answer that needs no model: the most frequent label, or the mean. Zeroth order needs a prompt that beats it: MeZO without one stays at
chance (arXiv 2305.17333, appendix A).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from loretta_core.config.task import FRESH_HEADS
from loretta_core.tasks.data.rows import TaskData
from loretta_core.tasks.scoring.metrics import Prediction
from loretta_core.train.build import Run
from loretta_core.train.evaluate import Evaluation, score_interval


def majority_score(data: TaskData) -> float | None:
    """Return the score on the test rows of always giving the most frequent label of the training rows (the smallest of several; a set of labels, the place of
    a choice, or the tag of a word, where the task has these), or their mean where labels are numbers; None for written answers. Computed from the labels alone.
    """
    true = [row.labels or row.label for row in data.test]
    if any(row.answers for row in data.test):
        return None
    return data.scorer.score(_constant_answers(data), true, probabilities=[0.5] * len(true))


def _constant_answers(data: TaskData) -> list[Prediction]:
    """Return the same answer to each test row; to each word of it, where words have tags."""
    labels = [row.labels or row.label for row in data.train]
    if data.scorer.tags:
        tag = _most_frequent([tag for label in labels if isinstance(label, tuple) for tag in label])
        return [tuple(tag for _ in row.words) for row in data.test]
    numbers = [label for label in labels if isinstance(label, float)]
    answer: Prediction = math.fsum(numbers) / len(numbers) if numbers else _most_frequent(labels)
    return [answer] * len(data.test)


def _most_frequent(labels: Sequence[Any]) -> Any:
    return Counter(sorted(labels)).most_common(1)[0][0]


def no_better_than_majority(run: Run, initial: Evaluation, *, split: str = "test") -> bool:
    """Return True if a zeroth-order cell starts no better than the most frequent label: its interval on a split reaches down to that label's share.

    False where the score is no accuracy or where a fresh head predicts, which always starts at chance and which the config cautions against.
    """
    cell, references = run.cell, [example.reference for example in run.examples[split]]
    labels = [reference for reference in references if isinstance(reference, int)]
    if not cell.trainer.zeroth_order or cell.task.objective in FRESH_HEADS or run.data.metric != "accuracy" or len(labels) < len(references):
        return False
    low, _ = score_interval("accuracy", initial.predictions, references)
    return low <= max(Counter(labels).values()) / len(labels)
