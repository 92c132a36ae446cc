"""Compares a zero-shot score with the majority-class baseline. Zeroth order needs a prompt that beats it: MeZO without one stays at chance
(arXiv 2305.17333, appendix A).
"""

from __future__ import annotations

from collections import Counter

from loretta_core.train.build import Run
from loretta_core.train.evaluate import Evaluation, score_interval


def no_better_than_majority(run: Run, initial: Evaluation) -> bool:
    """Return True if a zeroth-order cell starts no better than the most frequent label: its interval reaches down to that label's share.

    False where the score is no accuracy or where a fresh head predicts, which always starts at chance and which the config cautions against.
    """
    cell, references = run.cell, [example.reference for example in run.examples["test"]]
    labels = [reference for reference in references if isinstance(reference, int)]
    if not cell.trainer.zeroth_order or cell.task.objective == "head" or run.data.metric != "accuracy" or len(labels) < len(references):
        return False
    low, _ = score_interval("accuracy", initial.predictions, references)
    return low <= max(Counter(labels).values()) / len(labels)
