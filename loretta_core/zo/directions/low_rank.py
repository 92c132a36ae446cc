"""Low-rank directions that keep one side for some steps (LOZO, arXiv 2410.07698).

    z = U Vᵀ / √r          U (m, r) drawn for every direction, V (n, r) drawn every `refresh_every` steps; both N(0, 1), or signs

LOZO perturbs by ε U Vᵀ and steps along U Vᵀ / r; with z as above and ε √r in place of ε that is the same, and z has unit variance whatever r is.

    E[d/ε · z] = ∇L(θ) over U and V;        for a V that stays, ∇L(θ) V Vᵀ / r: the steps of one period lie in one subspace of r·m dimensions a matrix
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from loretta_core.zo.directions.base import Member, Slot
from loretta_core.zo.directions.factored import Factored
from loretta_core.zo.noise import Direction, draw_ranges, draw_rows

_RIGHT = -2
"""Index of the right factor of direction 0, at the first step of its period; direction k's is −2 − k (−1 rounds the update)."""


@dataclass
class LowRank(Factored):
    """U Vᵀ for every matrix with more than `rank` rows and columns.

    Raises ValueError for settings out of range.
    """

    rank: int = 2
    """r (paper: 1 to 4)."""
    refresh_every: int = 50
    """Steps for which V stays (paper: 50 to 100); 1 draws it for every step."""

    type = "low_rank"

    def __post_init__(self) -> None:
        if self.rank < 1 or self.refresh_every < 1:
            raise ValueError(f"expected rank ≥ 1 and refresh_every ≥ 1; got {self.rank} and {self.refresh_every}")

    def has_factors(self, slot: Slot) -> bool:
        """Return whether this is a matrix with more than r rows and columns."""
        return slot.parameter.ndim == 2 and min(slot.parameter.shape) > self.rank

    def left(self, direction: Direction, slot: Slot, rows: slice | Int64[Tensor, " U"]) -> Float[Tensor, "U R"]:
        """Return rows of U / √r; their values are those of the flat indices from the parameter's first on."""
        if isinstance(rows, Tensor):
            u_UR = draw_rows(direction, rows, start=slot.start, width=self.rank, distribution=self.distribution)
        else:
            u_UR = self.noise(direction, slot, start=rows.start * self.rank, size=(rows.stop - rows.start) * self.rank).view(-1, self.rank)
        return u_UR / math.sqrt(self.rank)

    def members(self, directions: Sequence[Direction]) -> list[Member]:
        """Return z of several directions, drawn for all parameters in one pass each."""
        width = {slot.index: self.rank for slot in self.slots if self.has_factors(slot)}
        lefts = tuple((slot.start, slot.parameter.shape[0] * self.rank if slot.index in width else len(slot)) for slot in self.slots)
        rights = tuple((slot.start, slot.parameter.shape[1] * self.rank) for slot in self.slots if slot.index in width)
        left_VN = self._stacked(directions, lefts)
        right_VN = self._stacked([self._kept(direction) for direction in directions], rights) if rights else left_VN[:, :0]
        right = iter(right_VN.split([size for _, size in rights], dim=1))
        found: list[Member] = []
        for slot, values in zip(self.slots, left_VN.split([size for _, size in lefts], dim=1), strict=True):
            if slot.index in width:
                found.append((values.unflatten(1, (-1, self.rank)) / math.sqrt(self.rank), next(right).unflatten(1, (-1, self.rank))))
            else:
                found.append(values)
        return found

    def _stacked(self, directions: Sequence[Direction], ranges: tuple[tuple[int, int], ...]) -> Float[Tensor, "V N"]:
        device = self.slots[0].device
        return torch.stack([draw_ranges(direction, ranges, distribution=self.distribution, device=device) for direction in directions])

    def _kept(self, direction: Direction) -> Direction:
        """Return the counter of V of the direction's period."""
        return Direction(direction.seed, direction.step - direction.step % self.refresh_every, _RIGHT - direction.index)

    def right(self, direction: Direction, slot: Slot) -> Float[Tensor, "N R"]:
        """Return V of the direction's period."""
        rows = slot.parameter.shape[1]
        return self.noise(self._kept(direction), slot, start=0, size=rows * self.rank).view(rows, self.rank)
