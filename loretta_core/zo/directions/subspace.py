"""Directions in a random subspace that stays for some steps (SubZero, arXiv 2410.08989).

    z = √(mn)/r · U Z Vᵀ          U (m, r), V (n, r) with orthonormal columns, drawn every `refresh_every` steps; Z (r, r) drawn for every direction

    E[d/ε · z] = ∇L(θ) over U, V and Z;        for bases that stay, mn/r² U Uᵀ ∇L(θ) V Vᵀ: the steps of one period have r² dimensions a matrix

r is at most the smaller side of a matrix. The bases take r (m + n) numbers a matrix (`bases.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from loretta_core.zo.directions.base import Slot
from loretta_core.zo.directions.bases import OnBases
from loretta_core.zo.noise import Direction

_LEFT, _RIGHT = -2, -3
"""Sides of the bases; −1 rounds the update."""


@dataclass
class Subspace(OnBases):
    """U Z Vᵀ for every matrix with more than one row and column.

    Raises ValueError for settings out of range.
    """

    rank: int = 24
    """r (paper: 24 to 64)."""
    refresh_every: int = 1000
    """Steps for which U and V stay (paper: about 1000)."""

    type = "subspace"

    def left(self, direction: Direction, slot: Slot, rows: slice | Int64[Tensor, " U"]) -> Float[Tensor, "U R"]:
        """Return rows of √(mn)/r · U Z."""
        (m, n), rank = slot.parameter.shape, min(self.rank, *slot.parameter.shape)
        z_RR = self.noise(direction, slot, start=0, size=rank * rank).view(rank, rank)
        return self.base_of(direction, slot, side=_LEFT, rows=m)[rows] @ z_RR.mul_(math.sqrt(m * n) / rank)

    def right(self, direction: Direction, slot: Slot) -> Float[Tensor, "N R"]:
        """Return the base V."""
        return self.base_of(direction, slot, side=_RIGHT, rows=slot.parameter.shape[1])
