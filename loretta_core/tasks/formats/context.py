"""Checks that every row fits the context length of the model: a position without an embedding ends in an index error far from its cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loretta_core.errors import DataError
from loretta_core.tasks.base import Example, token_counts

_OFFSET_MODELS = ("roberta", "xlm-roberta", "camembert", "mpnet")
"""Models whose positions start after the padding token's id; their embedding table holds the unused positions, too."""


def positions_of(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens the model of a config.json can read; None if it sets no limit."""
    positions = config.get("max_position_embeddings") or config.get("n_positions")
    if positions is None or config.get("model_type") not in _OFFSET_MODELS:
        return positions
    return positions - int(config.get("pad_token_id") or 0) - 1


def check_fits(examples: Sequence[Example], *, positions: int | None, split: str) -> None:
    """Raise DataError for the first row that is too long."""
    if positions is None:
        return
    for number, length in enumerate(token_counts(examples), start=1):
        if length > positions:
            raise DataError(f"{split} row {number} has {length} tokens and the model reads {positions}; set task.max_length = {positions} or less")
