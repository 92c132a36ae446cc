"""ROUGE of written answers (Lin 2004), by Google's rouge-score with its defaults: F1, lower case, no stemming. A row scores its best accepted answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any


def rouge(name: str) -> Callable[[str, Sequence[str]], float]:
    """Return the function of a prediction and its accepted answers that gives one of rouge1, rouge2, rougeL, rougeLsum."""

    def of_row(prediction: str, answers: Sequence[str]) -> float:
        return float(max(_scorer(name).score(answer, prediction)[name].fmeasure for answer in answers))

    return of_row


@cache
def _scorer(name: str) -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # an extra, and three seconds: it imports all of NLTK

    return RougeScorer([name])
