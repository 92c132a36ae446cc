"""Orthonormal bases that stay for some steps: the Q of a QR decomposition of noise, uniformly distributed among all.

A base is a function of (seed, first step of its period, shape). It is kept while it is in use, since a decomposition costs more than a draw.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from loretta_core.zo.directions.base import Slot
from loretta_core.zo.directions.factored import Factored
from loretta_core.zo.noise import Direction, Distribution, draw


@dataclass
class Bases:
    """The bases in use, by parameter and side."""

    refresh_every: int
    """Steps for which a base stays."""
    _kept: dict[tuple[int, int], tuple[Direction, Tensor]] = field(default_factory=dict)

    def base(self, direction: Direction, slot: Slot, *, side: int, rows: int, rank: int) -> Float[Tensor, "M R"]:
        """Return the base of a direction's period; all its directions share it.

        Args:
            side: a number below −1 that tells the bases of a parameter from each other, and from the noise of its directions.
            rows, rank: its shape; rows ≥ rank.
        """
        key = Direction(direction.seed, direction.step - direction.step % self.refresh_every, side)
        kept = self._kept.get((slot.index, side))
        if kept is None or kept[0] != key:
            noise = draw(key, start=slot.start, size=rows * rank, device=slot.device).view(rows, rank)
            kept = self._kept[slot.index, side] = (key, torch.linalg.qr(noise).Q)
        return kept[1]


@dataclass
class OnBases(Factored):
    """Base of directions that are made of orthonormal bases for every matrix with more than one row and column.

    Raises ValueError for settings out of range.
    """

    rank: int
    """Columns of a base, at most the smaller side of its matrix."""
    refresh_every: int
    """Steps for which a base stays."""

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

    def base_of(self, direction: Direction, slot: Slot, *, side: int, rows: int) -> Float[Tensor, "M R"]:
        """Return the base of a matrix's side, which all directions of a period share."""
        return self._bases.base(direction, slot, side=side, rows=rows, rank=min(self.rank, *slot.parameter.shape))
