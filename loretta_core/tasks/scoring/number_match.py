"""Answers that are numbers, as GSM8K is scored: the last number of a text, without thousands separators, currency, and the full stop behind it."""

from __future__ import annotations

from collections.abc import Sequence

from loretta_core.tasks.scoring.extractors import extract


def last_number(text: str) -> str | None:
    """Return the last number of a text in its shortest form, or None if it has none."""
    return extract("last_number", text)


def number_match(prediction: str, answers: Sequence[str]) -> float:
    """Return 1 if the last number of the prediction is that of an accepted answer, else 0: `It costs $1,200.` and `#### 1200`."""
    found = last_number(prediction)
    return float(found is not None and found in map(last_number, answers))
