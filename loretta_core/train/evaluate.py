"""Evaluates a model on a split: predictions, score and its 95 % interval.

A metric that is a share of rows (accuracy, exact match) has a Wilson interval; the others (F1, Matthews, correlations, token F1) a bootstrap over rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from loretta_core.report.stats import wilson_interval
from loretta_core.tasks.base import Batch, BatchEvaluation, Example, Objective, Writer
from loretta_core.tasks.collate import Collator, evaluation_batches
from loretta_core.tasks.scoring.metrics import METRICS, Prediction, Reference, bootstrap_interval, score
from loretta_core.tasks.scoring.scorer import Scorer
from loretta_core.train.workers import SINGLE_WORKER, Workers

_ACCURACY = Scorer()


@dataclass(frozen=True)
class Evaluation:
    """Score, loss and predictions on one split."""

    score: float
    """The task's metric."""
    loss: float
    """Mean loss over the rows: cross-entropy in nats, or squared error."""
    predictions: tuple[Prediction, ...]
    """Predicted label, number or text of each row, in the split's order."""
    values: tuple[Prediction, ...] = ()
    """What the metric reads of each row's prediction (`tasks/scoring/scorer.py`)."""
    probabilities: tuple[float, ...] = ()
    """Probability of the predicted label of each row; empty where none is chosen."""
    log_likelihoods: tuple[float, ...] = ()
    """Log-probability of the right label of each row, in nats; for a written answer, that of a token of the reference on average. Empty for numbers."""
    row_scores: tuple[tuple[float, ...], ...] = ()
    """Log-probability of each of a row's own choices, or probability of each label where a row may have several; empty for others."""


def mean_loss(batch: Batch, *, model: nn.Module, objective: Objective) -> Tensor:
    """Return the mean fp32 loss over the rows of a batch."""
    return objective.loss(model, batch)


@torch.no_grad()
def metric_loss(batch: Batch, *, model: nn.Module, objective: Objective, scorer: Scorer) -> Tensor:
    """Return 1 − the metric over the rows of a batch, fp32."""
    references: list[Reference] = [example.reference for example in batch.examples] or batch.labels_B.tolist()
    found = objective.evaluate(model, batch)
    return torch.tensor(1.0 - scorer.score(found.predictions, references, probabilities=_positive(found, scorer)))


@torch.no_grad()
def reward_loss(batch: Batch, *, model: nn.Module, writer: Writer, scorer: Scorer) -> Tensor:
    """Return 1 − the reward of what the model writes to the rows of a batch, fp32: the task's metric, of the part of a text that the task compares."""
    return torch.tensor(1.0 - scorer.score(writer.texts(model, batch), [example.reference for example in batch.examples]))


@torch.no_grad()
def evaluate(
    model: nn.Module,
    examples: Sequence[Example],
    *,
    objective: Objective,
    collate: Collator,
    batch_size: int,
    scorer: Scorer = _ACCURACY,
    workers: Workers = SINGLE_WORKER,
) -> Evaluation:
    """Score `examples`; the model is put into eval mode and back. Workers share the batches round-robin; all get the result of one worker."""
    was_training = model.training
    model.eval()
    batches = list(evaluation_batches(examples, batch_size=batch_size))
    own = {number: objective.evaluate(model, collate(batches[number][1])) for number in range(workers.rank, len(batches), workers.world)}
    evaluated = {number: one for part in workers.gather(own) for number, one in part.items()}
    total = 0.0
    rows: dict[int, _RowResult] = {}
    for number, (indices, chosen) in enumerate(batches):
        total += evaluated[number].loss_sum
        rows.update(zip(indices, _row_results(evaluated[number], chosen, scorer), strict=True))
    model.train(was_training)
    in_order = [rows[index] for index in range(len(examples))]
    references = [example.reference for example in examples]
    values = tuple(row.value for row in in_order)
    return Evaluation(
        score(scorer.metric, values, scorer.truths(references)),
        total / len(examples),
        tuple(row.prediction for row in in_order),
        values,
        tuple(row.probability for row in in_order if row.probability is not None),
        tuple(row.log_likelihood for row in in_order if row.log_likelihood is not None),
        tuple(row.scores for row in in_order if row.scores),
    )


class _RowResult(NamedTuple):
    prediction: Prediction
    value: Prediction
    probability: float | None
    log_likelihood: float | None
    scores: tuple[float, ...]


def _row_results(found: BatchEvaluation, examples: Sequence[Example], scorer: Scorer) -> list[_RowResult]:
    """Return what is kept of each row of a batch."""
    values = scorer.values(found.predictions, _positive(found, scorer))
    nothing: list[float | None] = [None] * len(examples)
    probabilities, likelihoods = nothing, [*found.log_likelihoods] or nothing
    if found.log_probabilities_BC is not None:
        probabilities = np.exp(found.log_probabilities_BC.max(axis=1)).tolist()
        likelihoods = [row[int(example.label)] for row, example in zip(found.log_probabilities_BC.tolist(), examples, strict=True)]
    scores = [*found.row_scores] or [()] * len(examples)
    return [_RowResult(*row) for row in zip(found.predictions, values, probabilities, likelihoods, scores, strict=True)]


def _positive(found: BatchEvaluation, scorer: Scorer) -> list[float] | None:
    """Return the probability of the scorer's positive class in each row; None where the objective chooses no class."""
    return None if found.log_probabilities_BC is None or not scorer.reads_probabilities else np.exp(found.log_probabilities_BC[:, scorer.positive]).tolist()


def score_interval(metric: str, predictions: Sequence[Prediction], references: Sequence[Reference]) -> tuple[float, float]:
    """Return the ends of the 95 % interval; the score lies between them. Predictions and references are what the metric reads of them."""
    value, rows = score(metric, predictions, references), len(references)
    low, high = wilson_interval(round(value * rows), rows) if METRICS[metric].share else bootstrap_interval(metric, predictions, references)
    return min(value, low), max(value, high)
