"""The score of an answer that needs no model: the most frequent label, or the mean. Zeroth order needs a prompt that beats it: MeZO without one stays at
chance (arXiv 2305.17333, appendix A).
"""

from __future__ import annotations

import math
from collections import Counter

from loretta_core.tasks.data.rows import TaskData
from loretta_core.train.build import Run
from loretta_core.train.evaluate import Evaluation, score_interval


def majority_score(data: TaskData) -> float | None:
    """Return the score on the test rows of always giving the most frequent label of the training rows (the smallest of several), or their mean where labels
    are numbers; None for written answers. Computed from the labels alone.
    """
    labels, true = [row.label for row in data.train], [row.label for row in data.test]
    if any(row.answers for row in data.test):
        return None
    answer = Counter(sorted(labels)).most_common(1)[0][0] if data.label_names else math.fsum(labels) / len(labels)
    return data.scorer.score([answer] * len(true), true, probabilities=[0.5] * len(true))


def no_better_than_majority(run: Run, initial: Evaluation, *, split: str = "test") -> bool:
    """Return True if a zeroth-order cell starts no better than the most frequent label: its interval on a split reaches down to that label's share.

    False where the score is no accuracy or where a fresh head predicts, which always starts at chance and which the config cautions against.
    """
    cell, references = run.cell, [example.reference for example in run.examples[split]]
    labels = [reference for reference in references if isinstance(reference, int)]
    if not cell.trainer.zeroth_order or cell.task.objective == "head" or run.data.metric != "accuracy" or len(labels) < len(references):
        return False
    low, _ = score_interval("accuracy", initial.predictions, references)
    return low <= max(Counter(labels).values()) / len(labels)
