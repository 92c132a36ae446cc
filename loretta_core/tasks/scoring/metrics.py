"""Metrics of predictions, and their percentile bootstrap over the rows (Efron 1979), 1,000 resamples from a fixed seed.

A metric is a mean over rows (accuracy), a function of counts that are summed over rows (BLEU, entity F1), or a function of all rows (correlations). Of the
second kind, a resample sums the counts of its rows, a row that is drawn twice twice.

Undefined values are 0, as in scikit-learn: F1 without a positive, Matthews and correlations of a constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from loretta_core.tasks.scoring import label_sets, likelihoods, spans, text_match, translation
from loretta_core.tasks.scoring.json_answers import json_equal, json_valid
from loretta_core.tasks.scoring.number_match import number_match
from loretta_core.tasks.scoring.overlap import rouge

Prediction = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
"""A label, a number or a text; 0 or 1 for each label, where a row has several; a tag for each word; the log-probability of an answer and its tokens."""
Reference = int | float | tuple[int, ...] | tuple[str, ...]
"""A label or number; the accepted answers of a row; 0 or 1 for each label; a tag for each word."""

RESAMPLES = 1000


@dataclass(frozen=True)
class Metric:
    """A metric: `of_row` gives each row's share of a mean; `counts` gives a row's part of a sum, and `of_counts` the score of it; `of_all` needs all rows at
    once. One of the three ways is set."""

    of_row: Callable[[Any, Any], float] | None = None
    counts: Callable[[Any, Any], Sequence[float] | np.ndarray] | None = None
    of_counts: Callable[[Any], float] | None = None
    of_all: Callable[[np.ndarray, np.ndarray], float] | None = None
    share: bool = False
    """True if the metric is the share of right rows."""


def score(name: str, predictions: Sequence[Prediction], references: Sequence[Reference]) -> float:
    """Return the metric over all rows. Raises ValueError on different lengths or nothing to score."""
    metric = METRICS[name]
    if len(predictions) != len(references) or not references:
        raise ValueError(f"{len(predictions)} predictions for {len(references)} references")
    if metric.of_row is not None:
        return math.fsum(map(metric.of_row, predictions, references)) / len(references)
    if metric.of_counts is not None:
        return metric.of_counts(_counts(metric, predictions, references).sum(axis=0))
    assert metric.of_all is not None
    return metric.of_all(np.asarray(predictions), np.asarray(references))


def resampled(name: str, predictions: Sequence[Prediction], references: Sequence[Reference]) -> np.ndarray:
    """Return the metric over RESAMPLES bootstrap samples of the rows, fp64. Draw i has the same rows for all predictions, so that cells can be paired."""
    metric, rows = METRICS[name], len(references)
    draws = np.random.default_rng(0).integers(0, rows, (RESAMPLES, rows))
    if metric.of_row is not None:
        return np.array(list(map(metric.of_row, predictions, references)))[draws].mean(axis=1)
    if metric.of_counts is not None:
        counts_NK = _counts(metric, predictions, references)
        times_drawn = (np.bincount(draw, minlength=rows) for draw in draws)
        return np.array([metric.of_counts(times_N @ counts_NK) for times_N in times_drawn])
    assert metric.of_all is not None
    guessed, true = np.asarray(predictions), np.asarray(references)
    return np.array([metric.of_all(guessed[draw], true[draw]) for draw in draws])


def _counts(metric: Metric, predictions: Sequence[Prediction], references: Sequence[Reference]) -> np.ndarray:
    assert metric.counts is not None, "a metric of counts says what a row counts"
    return np.array([metric.counts(prediction, reference) for prediction, reference in zip(predictions, references, strict=True)])


def bootstrap_interval(name: str, predictions: Sequence[Prediction], references: Sequence[Reference]) -> tuple[float, float]:
    """Return the middle 95 % of the metric over resampled rows; the same predictions always give the same interval."""
    low, high = np.percentile(resampled(name, predictions, references), [2.5, 97.5])
    return float(low), float(high)


def right_rows(name: str, predictions: Sequence[Prediction], references: Sequence[Reference]) -> str:
    """Return one character a row, "1" if it is right, for a metric whose rows are right or wrong; empty for the others."""
    metric = METRICS[name]
    if not metric.share or metric.of_row is None:
        return ""
    return "".join("1" if value else "0" for value in map(metric.of_row, predictions, references))


def accuracy(predictions: Sequence[Prediction], references: Sequence[Reference]) -> float:
    """Return the share of right answers, in [0, 1]. Raises ValueError on different lengths or nothing to score."""
    return score("accuracy", predictions, references)


def _right(prediction: Prediction, reference: Reference) -> float:
    return float(prediction in reference if isinstance(reference, tuple) else prediction == reference)


def _f1(predictions: np.ndarray, references: np.ndarray) -> float:
    """Return the F1 score of label 1."""
    hits = int(((predictions == 1) & (references == 1)).sum())
    total = int((predictions == 1).sum() + (references == 1).sum())
    return 2 * hits / total if total else 0.0


def _class_f1(predictions: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the F1 of every label that occurs in predictions or references, and its rows in the references."""
    labels = np.union1d(predictions, references)
    guessed, true = (values[:, None] == labels for values in (predictions, references))
    return 2 * (guessed & true).sum(0) / (guessed.sum(0) + true.sum(0)), true.sum(0)


def _macro_f1(predictions: np.ndarray, references: np.ndarray) -> float:
    return float(_class_f1(predictions, references)[0].mean())


def _weighted_f1(predictions: np.ndarray, references: np.ndarray) -> float:
    f1_C, rows_C = _class_f1(predictions, references)
    return float(f1_C @ rows_C / rows_C.sum())


def _auc(predictions: np.ndarray, references: np.ndarray) -> float:
    """Return the share of pairs of a row of label 1 and one of label 0 whose first has the higher value, ties half (Mann and Whitney); 0.5 without a pair."""
    positive = references == 1
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return 0.5
    return float((_ranks(predictions.astype(float))[positive].sum() - count * (count + 1) / 2) / (count * others))


def _matthews(predictions: np.ndarray, references: np.ndarray) -> float:
    """Return Matthews' correlation, for any number of labels (Gorodkin 2004)."""
    labels = np.union1d(predictions, references)
    guessed, true = (values[:, None] == labels for values in (predictions, references))
    rows, right = len(references), int((guessed & true).sum())
    in_guess, in_truth = guessed.sum(0).astype(float), true.sum(0).astype(float)
    spread = math.sqrt((rows**2 - in_guess @ in_guess) * (rows**2 - in_truth @ in_truth))
    return float((right * rows - in_guess @ in_truth) / spread) if spread else 0.0


def _pearson(predictions: np.ndarray, references: np.ndarray) -> float:
    x, y = predictions.astype(float), references.astype(float)
    x, y = x - x.mean(), y - y.mean()
    spread = math.sqrt((x @ x) * (y @ y))
    return float(x @ y / spread) if spread else 0.0


def _spearman(predictions: np.ndarray, references: np.ndarray) -> float:
    return _pearson(_ranks(predictions), _ranks(references))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _pearson_spearman(predictions: np.ndarray, references: np.ndarray) -> float:
    return (_pearson(predictions, references) + _spearman(predictions, references)) / 2


def _itself(prediction: Sequence[float], reference: Reference) -> Sequence[float]:
    """Return (sum of log-probabilities, tokens) of a row, which is its prediction."""
    return prediction


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(of_row=_right, share=True),
    "f1": Metric(of_all=_f1),
    "macro_f1": Metric(of_all=_macro_f1),
    "micro_f1": Metric(of_row=_right, share=True),
    "weighted_f1": Metric(of_all=_weighted_f1),
    "auc": Metric(of_all=_auc),
    "matthews": Metric(of_all=_matthews),
    "pearson": Metric(of_all=_pearson),
    "spearman": Metric(of_all=_spearman),
    "pearson_spearman": Metric(of_all=_pearson_spearman),
    "neg_mse": Metric(of_row=lambda prediction, reference: -((prediction - reference) ** 2)),
    "neg_mae": Metric(of_row=lambda prediction, reference: -abs(prediction - reference)),
    "exact_match": Metric(of_row=text_match.exact_match, share=True),
    "squad_em": Metric(of_row=text_match.squad_em, share=True),
    "squad_f1": Metric(of_row=text_match.squad_f1),
    "drop_em": Metric(of_row=text_match.drop_em, share=True),
    "drop_f1": Metric(of_row=text_match.drop_f1),
    "number": Metric(of_row=number_match, share=True),
    "json_valid": Metric(of_row=json_valid, share=True),
    "json_equal": Metric(of_row=json_equal, share=True),
    **{name: Metric(of_row=rouge(name)) for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")},
    "bleu": Metric(counts=partial(translation.counts_of_row, "BLEU"), of_counts=partial(translation.of_counts, "BLEU")),
    "chrf": Metric(counts=partial(translation.counts_of_row, "CHRF"), of_counts=partial(translation.of_counts, "CHRF")),
    "neg_perplexity": Metric(counts=_itself, of_counts=likelihoods.neg_perplexity),
    "neg_loss": Metric(counts=_itself, of_counts=likelihoods.neg_loss),
    "set_match": Metric(of_row=label_sets.set_match, share=True),
    "set_micro_f1": Metric(counts=label_sets.counts_of_row, of_counts=label_sets.micro_f1),
    "set_macro_f1": Metric(counts=label_sets.counts_of_row, of_counts=label_sets.macro_f1),
    "set_weighted_f1": Metric(counts=label_sets.counts_of_row, of_counts=label_sets.weighted_f1),
    "span_f1": Metric(counts=spans.span_counts, of_counts=spans.span_f1),
    "token_accuracy": Metric(counts=spans.tag_counts, of_counts=spans.tag_accuracy),
}
