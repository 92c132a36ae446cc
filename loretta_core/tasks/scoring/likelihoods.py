"""Perplexity and mean loss of texts, from the sum of each row's log-probabilities and its tokens.

    loss = −Σ log p(t) / tokens      perplexity = exp(loss)

Both over the tokens of all rows, so that a long text counts for its length. More is better everywhere, so they are negated.
"""

from __future__ import annotations

import math

import numpy as np

LARGEST = 700.0
"""Loss whose exponential a float still holds."""


def neg_loss(sums: np.ndarray) -> float:
    """Return the mean log-probability of a token, from (sum of log-probabilities, tokens)."""
    log_likelihood, tokens = sums
    return float(log_likelihood / tokens)


def neg_perplexity(sums: np.ndarray) -> float:
    """Return the perplexity, negated, from (sum of log-probabilities, tokens)."""
    return -math.exp(min(-neg_loss(sums), LARGEST))
