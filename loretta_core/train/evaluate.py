"""Evaluates a model on a split: predictions, score and its 95 % interval.

A metric that is a share of rows (accuracy, exact match) has a Wilson interval; the others (F1, Matthews, correlations, token F1) a bootstrap over rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from loretta_core.report.stats import wilson_interval
from loretta_core.tasks.base import Batch, Example, Objective
from loretta_core.tasks.collate import Collator, evaluation_batches
from loretta_core.tasks.scoring.metrics import METRICS, Prediction, Reference, bootstrap_interval, score
from loretta_core.train.workers import SINGLE_WORKER, Workers


@dataclass(frozen=True)
class Evaluation:
    """Score, loss and predictions on one split."""

    score: float
    """The task's metric."""
    loss: float
    """Mean loss over the rows: cross-entropy in nats, or squared error."""
    predictions: tuple[Prediction, ...]
    """CostPrediction label, number or text of each row, in the split's order."""


def mean_loss(batch: Batch, *, model: nn.Module, objective: Objective) -> Tensor:
    """Return the mean fp32 loss over the rows of a batch."""
    return objective.loss(model, batch)


@torch.no_grad()
def metric_loss(batch: Batch, *, model: nn.Module, objective: Objective, metric: str) -> Tensor:
    """Return 1 − the metric over the rows of a batch, fp32."""
    references: list[Reference] = [example.reference for example in batch.examples] or batch.labels_B.tolist()
    return torch.tensor(1.0 - score(metric, objective.evaluate(model, batch).predictions, references))


@torch.no_grad()
def evaluate(
    model: nn.Module,
    examples: Sequence[Example],
    *,
    objective: Objective,
    collate: Collator,
    batch_size: int,
    metric: str = "accuracy",
    workers: Workers = SINGLE_WORKER,
) -> Evaluation:
    """Score `examples`; the model is put into eval mode and back. Workers share the batches round-robin; all get the result of one worker."""
    was_training = model.training
    model.eval()
    batches = list(evaluation_batches(examples, batch_size=batch_size))
    own = {number: objective.evaluate(model, collate(batches[number][1])) for number in range(workers.rank, len(batches), workers.world)}
    evaluated = {number: one for part in workers.gather(own) for number, one in part.items()}
    predictions: list[Prediction] = [0] * len(examples)
    total = 0.0
    for number, (indices, _) in enumerate(batches):
        total += evaluated[number].loss_sum
        for index, prediction in zip(indices, evaluated[number].predictions, strict=True):
            predictions[index] = prediction
    model.train(was_training)
    return Evaluation(score(metric, predictions, [example.reference for example in examples]), total / len(examples), tuple(predictions))


def score_interval(metric: str, predictions: Sequence[Prediction], references: Sequence[Reference]) -> tuple[float, float]:
    """Return the ends of the 95 % interval; the score lies between them."""
    value, rows = score(metric, predictions, references), len(references)
    low, high = wilson_interval(round(value * rows), rows) if METRICS[metric].share else bootstrap_interval(metric, predictions, references)
    return min(value, low), max(value, high)
