"""Dense directions: every value of z is drawn by itself (SPSA, Spall 1992; MeZO, arXiv 2305.17333).

z ~ N(0, I), or independent signs          E[d/ε · z] = ∇L(θ) + O(ε²)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from loretta_core.zo.directions.base import Directions, Slot
from loretta_core.zo.noise import Direction, draw


@dataclass
class Dense(Directions):
    """Draws every value by itself."""

    type = "dense"

    def values(self, direction: Direction, slot: Slot, *, start: int, size: int) -> Float[Tensor, " N"]:
        """Return values of a parameter's z."""
        return self.noise(direction, slot, start=start, size=size)

    def rows(self, direction: Direction, slot: Slot, rows_U: Int64[Tensor, " U"]) -> Float[Tensor, "U H"]:
        """Return some rows of a matrix's z."""
        return self.noise_rows(direction, slot, rows_U)

    def whole(self, direction: Direction) -> Float[Tensor, " P"]:
        """Return z, drawn at once."""
        device = self.slots[0].device if self.slots else torch.device("cpu")
        return draw(direction, size=sum(map(len, self.slots)), distribution=self.distribution, device=device)
