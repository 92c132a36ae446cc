"""Predictions and score on a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from loretta_core.tasks.base import Batch, Example, Objective
from loretta_core.tasks.collate import Collator, evaluation_batches
from loretta_core.tasks.metrics import accuracy


@dataclass(frozen=True)
class Evaluation:
    """The outcome on one split."""

    score: float
    """Accuracy in [0, 1]."""
    loss: float
    """Mean cross-entropy over the rows, in nats."""
    predictions: tuple[int, ...]
    """Predicted label of each row, in the split's order."""


def classification_loss(batch: Batch, *, model: nn.Module, objective: Objective) -> Tensor:
    """Mean fp32 cross-entropy over the rows of a batch."""
    return F.cross_entropy(objective.class_logits(model, batch), batch.labels_B)


@torch.no_grad()
def evaluate(model: nn.Module, examples: Sequence[Example], *, objective: Objective, collate: Collator, batch_size: int) -> Evaluation:
    """Score `examples`; the model is put into eval mode and back."""
    was_training = model.training
    model.eval()
    predictions = [0] * len(examples)
    total = 0.0
    for indices, chosen in evaluation_batches(examples, batch_size=batch_size):
        batch = collate(chosen)
        logits_BC = objective.class_logits(model, batch)
        total += F.cross_entropy(logits_BC, batch.labels_B, reduction="sum").item()
        for index, label in zip(indices, logits_BC.argmax(dim=-1).tolist(), strict=True):
            predictions[index] = label
    model.train(was_training)
    return Evaluation(accuracy(predictions, [example.label for example in examples]), total / len(examples), tuple(predictions))
