"""Whether a prompt asks what the model already half knows. Zeroth order needs that: MeZO without a prompt stays at chance (arXiv 2305.17333, appendix A)."""

from __future__ import annotations

from collections import Counter

from loretta_core.train.build import Run
from loretta_core.train.evaluate import Evaluation, score_interval


def unaligned(run: Run, initial: Evaluation) -> bool:
    """Whether a zeroth-order cell starts no better than the most frequent label: its interval reaches down to that label's share.

    Only where the score is a share of right labels and the label is asked for in words; a fresh head is never aligned, and is cautioned against before.
    """
    cell, references = run.cell, [example.reference for example in run.examples["test"]]
    labels = [reference for reference in references if isinstance(reference, int)]
    if not cell.trainer.zeroth_order or cell.task.objective == "head" or run.data.metric != "accuracy" or len(labels) < len(references):
        return False
    low, _ = score_interval("accuracy", initial.predictions, references)
    return low <= max(Counter(labels).values()) / len(labels)
