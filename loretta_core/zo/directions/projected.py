"""Directions whose columns lie in a random subspace that stays for some steps (ZO-Muon, arXiv 2602.17155).

    z = √(m/r) · P Ψ          P (m, r) with orthonormal columns, drawn every `refresh_every` steps; Ψ (r, n) drawn for every direction

    E[d/ε · z] = ∇L(θ) over P and Ψ;        for a P that stays, m/r P Pᵀ ∇L(θ)

r is at most the smaller side of a matrix. Since all directions of a step share P, an update can be computed from the Ψ's alone (`updates/`).
P takes r·m numbers a matrix (`bases.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from loretta_core.zo.directions.base import Slot
from loretta_core.zo.directions.bases import OnBases
from loretta_core.zo.noise import Direction

_LEFT = -2
"""Side of the base; −1 rounds the update."""


@dataclass
class Projected(OnBases):
    """P Ψ for every matrix with more than one row and column.

    Raises ValueError for settings out of range.
    """

    rank: int = 64
    """r (paper: 64)."""
    refresh_every: int = 100
    """Steps for which P stays (paper: 100)."""

    type = "projected"

    def left(self, direction: Direction, slot: Slot, rows: slice | Int64[Tensor, " U"]) -> Float[Tensor, "U R"]:
        """Return rows of √(m/r) · P."""
        base_MR = self.base(direction, slot)
        return base_MR[rows] * math.sqrt(len(base_MR) / base_MR.shape[1])

    def base(self, direction: Direction, slot: Slot) -> Float[Tensor, "M R"]:
        """Return the base P, which all directions of a period share."""
        return self.base_of(direction, slot, side=_LEFT, rows=slot.parameter.shape[0])

    def right(self, direction: Direction, slot: Slot) -> Float[Tensor, "N R"]:
        """Return the transpose of Ψ."""
        n, rank = slot.parameter.shape[1], min(self.rank, *slot.parameter.shape)
        return self.noise(direction, slot, start=0, size=n * rank).view(n, rank)
