"""Directions whose columns lie in a random subspace that stays for some steps (ZO-Muon, arXiv 2602.17155).

    z = √(m/r) · P Ψ          P (m, r) with orthonormal columns, drawn every `refresh_every` steps; Ψ (r, n) drawn for every direction

    E[d/ε · z] = ∇L(θ) over P and Ψ;        for a P that stays, m/r P Pᵀ ∇L(θ)

r is at most the smaller side of a matrix. Since all directions of a step share P, an update can be computed from the Ψ's alone (`updates/`).
P takes r·m numbers a matrix (`bases.py`).
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int64
from torch import Tensor

from loretta_core.zo.directions.base import Slot
from loretta_core.zo.directions.bases import Bases
from loretta_core.zo.directions.factored import Factored
from loretta_core.zo.noise import Direction, Distribution

_LEFT = -2
"""Side of the base; −1 rounds the update."""


@dataclass
class Projected(Factored):
    """P Ψ for every matrix with more than one row and column.

    Raises ValueError for settings out of range.
    """

    rank: int = 64
    """r (paper: 64)."""
    refresh_every: int = 100
    """Steps for which P stays (paper: 100)."""

    type = "projected"

    def __post_init__(self) -> None:
        if self.rank < 1 or self.refresh_every < 1:
            raise ValueError(f"expected rank ≥ 1 and refresh_every ≥ 1; got {self.rank} and {self.refresh_every}")

    def attach(self, slots: Sequence[Slot], *, distribution: Distribution, streamed: bool, state: MutableMapping[Tensor, Any]) -> None:
        """Take in the parameters that train."""
        super().attach(slots, distribution=distribution, streamed=streamed, state=state)
        self._bases = Bases(self.refresh_every)

    def has_factors(self, slot: Slot) -> bool:
        """Return whether this is a matrix."""
        return slot.parameter.ndim == 2 and min(slot.parameter.shape) > 1

    def left(self, direction: Direction, slot: Slot, rows: slice | Int64[Tensor, " U"]) -> Float[Tensor, "U R"]:
        """Return rows of √(m/r) · P."""
        base_MR = self.base(direction, slot)
        return base_MR[rows] * math.sqrt(len(base_MR) / base_MR.shape[1])

    def base(self, direction: Direction, slot: Slot) -> Float[Tensor, "M R"]:
        """Return the base P, which all directions of a period share."""
        return self._bases.base(direction, slot, side=_LEFT, rows=slot.parameter.shape[0], rank=min(self.rank, *slot.parameter.shape))

    def right(self, direction: Direction, slot: Slot) -> Float[Tensor, "N R"]:
        """Return the transpose of Ψ."""
        n, rank = slot.parameter.shape[1], min(self.rank, *slot.parameter.shape)
        return self.noise(direction, slot, start=0, size=n * rank).view(n, rank)
