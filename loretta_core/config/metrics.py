"""The metrics, extractors and stops that a task can name, each with what it is; what fits which task. No arithmetic: that is in tasks/scoring."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["classes", "number", "text", "choices", "label_sets", "tags"]
"""What a task predicts."""

ClassMetric = Literal["accuracy", "f1", "macro_f1", "micro_f1", "weighted_f1", "matthews", "auc"]
NumberMetric = Literal["pearson", "spearman", "pearson_spearman", "mse", "mae"]
MatchMetric = Literal["exact_match", "squad_em", "squad_f1", "drop_em", "drop_f1", "number", "json_valid", "json_equal"]
OverlapMetric = Literal["rouge1", "rouge2", "rougeL", "rougeLsum", "bleu", "chrf"]
LikelihoodMetric = Literal["perplexity", "loss"]
TagMetric = Literal["span_f1", "token_accuracy"]
MetricName = ClassMetric | NumberMetric | MatchMetric | OverlapMetric | LikelihoodMetric | TagMetric
ExtractorName = Literal["last_number", "regex", "after", "json", "first_letter"]

METRICS: dict[str, tuple[tuple[Kind, ...], str]] = {
    "accuracy": (("classes", "choices"), "share of right rows"),
    "f1": (("classes",), "F1 of one class: the second of two, or positive_label"),
    "macro_f1": (("classes", "label_sets"), "mean of the F1 of all classes"),
    "micro_f1": (("classes", "label_sets"), "F1 over all rows and labels together; equal to accuracy where a row has one class"),
    "weighted_f1": (("classes", "label_sets"), "mean of the F1 of all classes, weighted by their rows"),
    "matthews": (("classes",), "Matthews' correlation (CoLA)"),
    "auc": (("classes",), "area under the ROC curve of one class: the second of two, or positive_label"),
    "pearson": (("number",), "Pearson's correlation"),
    "spearman": (("number",), "Spearman's correlation"),
    "pearson_spearman": (("number",), "mean of Pearson's and Spearman's (STS-B)"),
    "mse": (("number",), "mean squared error; recorded negated as neg_mse, so that more is better everywhere"),
    "mae": (("number",), "mean absolute error; recorded negated as neg_mae"),
    "exact_match": (
        ("text", "label_sets"),
        "share of answers that equal an accepted one (ignore_case and ignore_blanks relax it), or of rows whose whole set of labels is right",
    ),
    "squad_em": (("text",), "SQuAD's exact match: without case, punctuation and articles"),
    "squad_f1": (("text",), "SQuAD's F1 over words"),
    "drop_em": (("text",), "DROP's exact match: numbers as numbers"),
    "drop_f1": (("text",), "DROP's F1 over words"),
    "number": (("text",), "share of answers whose last number is an accepted one's (GSM8K): without thousands separators, currency and a full stop"),
    "json_valid": (("text",), "share of answers that are JSON, whatever it says"),
    "json_equal": (("text",), "share of answers that are an accepted one as JSON, whatever the order of its keys"),
    "rouge1": (("text",), "ROUGE-1: F1 over words, by rouge-score without stemming; the best accepted answer counts"),
    "rouge2": (("text",), "ROUGE-2: the same over pairs of words"),
    "rougeL": (("text",), "ROUGE-L: the same over the longest common subsequence"),
    "rougeLsum": (("text",), "ROUGE-Lsum: the same by sentences, one a line (CNN/DailyMail)"),
    "bleu": (("text",), "BLEU of all rows together, 0 to 100, as sacrebleu computes it by default (13a tokens)"),
    "chrf": (("text",), "chrF2 of all rows together, 0 to 100, as sacrebleu computes it by default"),
    "perplexity": (("text",), "perplexity of the accepted answers, over their tokens; nothing is written. Recorded negated as neg_perplexity"),
    "loss": (("text",), "mean loss of a token of the accepted answers, in nats; nothing is written. Recorded negated as neg_loss"),
    "span_f1": (("tags",), "F1 over the entities, spans of B- and I- tags, by seqeval; one counts if its type and both ends are right"),
    "token_accuracy": (("tags",), "share of words with the right tag"),
}
"""metric → what it compares, and what it is."""

LIBRARIES: dict[str, str] = {
    **dict.fromkeys(("rouge1", "rouge2", "rougeL", "rougeLsum"), "rouge_score"),
    **dict.fromkeys(("bleu", "chrf"), "sacrebleu"),
    "span_f1": "seqeval",
}
"""metric → the module that computes it, of the extra `scorers`."""

READ_LIKELIHOODS = ("perplexity", "loss")
"""Metrics of the probability of an answer: nothing is written for them."""

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
    compared = METRICS[metric][0]
    if kind in compared:
        return None
    fitting = ", ".join(name for name, (kinds, _) in METRICS.items() if kind in kinds)
    return f'metric = "{metric}" compares {" or ".join(_WORDS[each] for each in compared)}, and this task has {_WORDS[kind]}; use one of {fitting}'


_WORDS: dict[Kind, str] = {
    "classes": "classes",
    "number": "numbers",
    "text": "written answers",
    "choices": "choices of each row",
    "label_sets": "sets of labels",
    "tags": "tags of words",
}


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
