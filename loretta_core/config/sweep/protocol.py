"""The protocol of a fair comparison: tune every contender with the same budget, replicate its winner over seeds, decide under constraints.

[tune]         trials of every contender (a point of the grid), judged on validation rows only
[replicate]    the winner of each contender, trained with further seeds; only these are scored on the test rows
[decide]       what the answer must respect
"""

from __future__ import annotations

from pydantic import Field

from loretta_core.schema import Strict


class Decide(Strict):
    """Constraints on the method that a verdict recommends; None: no constraint."""

    max_memory_gib: float | None = Field(None, gt=0)
    """Most peak memory of a replicate, in GiB."""
    max_trainable_params: int | None = Field(None, gt=0)
    """Most trainable parameters."""
    max_train_hours: float | None = Field(None, gt=0)
    """Longest training of one replicate, in hours."""
    max_usd: float | None = Field(None, gt=0)
    """Most money for one replicate, at `budget.usd_per_hour`."""
    within: float = Field(0.01, ge=0)
    """As good as the best: the expected score is at most so far below it (one-sided)."""
