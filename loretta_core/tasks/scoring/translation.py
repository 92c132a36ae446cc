"""BLEU (Papineni et al. 2002) and chrF (Popović 2015) by sacrebleu with its defaults, from 0 to 100.

Both are functions of counts over all rows: a row gives its own counts, and the sum over rows gives the score. So a resample of rows is a sum of their counts,
as sacrebleu's own bootstrap has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np

Corpus = Literal["BLEU", "CHRF"]


def counts_of_row(name: Corpus, prediction: str, answers: Sequence[str]) -> list[int]:
    """Return the counts of a row: matches, n-grams and lengths."""
    (counts,) = _metric(name)._extract_corpus_statistics([prediction], [[answer] for answer in answers])
    return counts


def of_counts(name: Corpus, counts: np.ndarray) -> float:
    """Return the score of counts that are summed over rows."""
    return _metric(name)._compute_score_from_stats(list(counts)).score


@cache
def _metric(name: Corpus) -> Any:
    from sacrebleu import metrics  # an extra

    return metrics.BLEU(force=True) if name == "BLEU" else metrics.CHRF()  # force: no advice about detokenising on every row
