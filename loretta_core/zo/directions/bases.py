"""Orthonormal bases that stay for some steps: the Q of a QR decomposition of noise, uniformly distributed among all.

A base is a function of (seed, first step of its period, shape). It is kept while it is in use, since a decomposition costs more than a draw.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from loretta_core.zo.directions.base import Slot
from loretta_core.zo.noise import Direction, draw


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
