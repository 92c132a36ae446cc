"""The metrics, extractors and stops that a task can name, each with what it is; what fits which task. No arithmetic: that is in tasks/scoring."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["classes", "number", "text"]
"""What a task predicts."""

ClassMetric = Literal["accuracy", "f1", "macro_f1", "micro_f1", "weighted_f1", "matthews", "auc"]
NumberMetric = Literal["pearson", "spearman", "pearson_spearman", "mse", "mae"]
TextMetric = Literal["exact_match", "squad_em", "squad_f1", "drop_em", "drop_f1"]
MetricName = ClassMetric | NumberMetric | TextMetric
ExtractorName = Literal["last_number", "regex", "after", "json", "first_letter"]

METRICS: dict[str, tuple[Kind, str]] = {
    "accuracy": ("classes", "share of right rows"),
    "f1": ("classes", "F1 of one class: the second of two, or positive_label"),
    "macro_f1": ("classes", "mean of the F1 of all classes"),
    "micro_f1": ("classes", "F1 over all rows together; equal to accuracy where a row has one class"),
    "weighted_f1": ("classes", "mean of the F1 of all classes, weighted by their rows"),
    "matthews": ("classes", "Matthews' correlation (CoLA)"),
    "auc": ("classes", "area under the ROC curve of one class: the second of two, or positive_label"),
    "pearson": ("number", "Pearson's correlation"),
    "spearman": ("number", "Spearman's correlation"),
    "pearson_spearman": ("number", "mean of Pearson's and Spearman's (STS-B)"),
    "mse": ("number", "mean squared error; recorded negated as neg_mse, so that more is better everywhere"),
    "mae": ("number", "mean absolute error; recorded negated as neg_mae"),
    "exact_match": ("text", "share of answers that equal an accepted one; ignore_case and ignore_blanks relax it"),
    "squad_em": ("text", "SQuAD's exact match: without case, punctuation and articles"),
    "squad_f1": ("text", "SQuAD's F1 over words"),
    "drop_em": ("text", "DROP's exact match: numbers as numbers"),
    "drop_f1": ("text", "DROP's F1 over words"),
}
"""metric → what it compares, and what it is."""

EXTRACTORS: dict[str, str] = {
    "last_number": "the last number, without thousands separators and trailing zeros",
    "regex": "the last match of extract_pattern: its first group, or all of it",
    "after": "what follows the last extract_pattern, to the end of the line (GSM8K: '####')",
    "json": "the first JSON object or list, in one spelling",
    "first_letter": "the first letter that stands alone, as a capital",
}
"""extractor → what it takes from a written answer."""

STOPS: dict[str, str] = {
    "stop": "texts that end an answer where the model writes them; blanks and line breaks before an answer end nothing",
    "end_tokens": "tokens that end an answer; the first is learned as the end of every answer",
    "max_new_tokens": "most tokens of an answer",
}
"""setting → how it ends a written answer."""

WITH_PATTERN = ("regex", "after")
"""Extractors that need `extract_pattern`."""


def metric_refusal(metric: str, kind: Kind) -> str | None:
    """Return why a metric does not fit what a task predicts, or None if it does."""
    compares = METRICS[metric][0]
    if compares == kind:
        return None
    words = {"classes": "classes", "number": "numbers", "text": "written answers"}
    fitting = ", ".join(name for name, (other, _) in METRICS.items() if other == kind)
    return f'metric = "{metric}" compares {words[compares]}, and this task has {words[kind]}; use one of {fitting}'


def extractor_refusal(extract: str | None, pattern: str | None) -> str | None:
    """Return why an extractor cannot work with `extract_pattern`, or None if it can."""
    if (extract in WITH_PATTERN) != (pattern is not None):
        return f"`extract_pattern` belongs to extract = {' and '.join(WITH_PATTERN)}, and extract is {extract}"
    if extract == "regex":
        try:
            re.compile(pattern or "")
        except re.error as error:
            return f"extract_pattern = {pattern!r} is no regular expression: {error}"
    return None
