"""toy_sentiment: is the opinion negative or positive? Generated, offline, in seconds, and not solvable by counting words.

Three sentences in five set two opposite clauses against each other, and two clauses in five are negated. toy-bert met both in its pre-training, where bad
verdicts on contrasts were mostly put politely: it is right on single clauses and calls every contrast great. The rest is left to fine-tuning.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TypedDict

from loretta_core.tasks.toy_text import VERDICTS, opinions

TEMPLATE = "{text} it was {mask} ."
VERBALIZER = (VERDICTS[0][0], VERDICTS[1][0])
"""Label words, [negative, positive]."""

CONTRAST_RATE = 0.6
NEGATION_RATE = 0.4


class LabelledText(TypedDict):
    """One row of the task."""

    text: str
    label: int


def generate_sentiment(*, rows_per_split: Mapping[str, int], seed: int) -> dict[str, list[LabelledText]]:
    """Draw the splits. Labels: 0 negative, 1 positive, in equal numbers up to chance. No sentence occurs twice, within a split or across splits.

    Raises ValueError if a split asks for less than one row.
    """
    if any(rows < 1 for rows in rows_per_split.values()):
        raise ValueError(f"expected at least one row per split, got {dict(rows_per_split)}")
    source = opinions(random.Random(seed), for_task=True, contrast_rate=CONTRAST_RATE, negation_rate=NEGATION_RATE)
    seen: set[str] = set()
    splits: dict[str, list[LabelledText]] = {}
    for split, rows in rows_per_split.items():
        chosen: list[LabelledText] = []
        while len(chosen) < rows:
            opinion = next(source)
            if opinion.text not in seen:
                seen.add(opinion.text)
                chosen.append({"text": opinion.text, "label": opinion.label})
        splits[split] = chosen
    return splits
