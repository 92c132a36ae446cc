"""Directions within a cone around the momentum of past estimates (ConMeZO, arXiv 2511.02757, algorithm 1).

    z = √P cos(φ) m/‖m‖ + sin(φ) n          n dense noise, P numbers that train, φ the cone's half-angle; z = n while m is 0
    m ← β m + (1 − β)/q Σ_k d_k/ε · z_k     after the update

    E[d/ε · z] = (sin²φ + P cos²φ m̂ m̂ᵀ) ∇L(θ): the part along the momentum counts P cot²φ times more

The paper warms β up over the first steps; here it is constant. m is one fp32 number per trained one.
"""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from loretta_core.zo.directions.base import Slot
from loretta_core.zo.directions.value_by_value import Part, ValueByValue, kept_values, taken
from loretta_core.zo.noise import Direction, Distribution


@dataclass
class Cone(ValueByValue):
    """Dense directions that lean towards the momentum.

    Raises ValueError for settings out of range.
    """

    angle: float = 1.35
    """φ in radians; π/2 draws dense directions (paper: 1.35)."""
    momentum: float = 0.95
    """β (paper, OPT: 0.95)."""

    type = "cone"
    keeps_state = True

    def __post_init__(self) -> None:
        if not 0 < self.angle <= math.pi / 2 or not 0 <= self.momentum < 1:
            raise ValueError(f"expected 0 < angle ≤ π/2 and 0 ≤ momentum < 1; got {self.angle} and {self.momentum}")

    def attach(self, slots: Sequence[Slot], *, distribution: Distribution, streamed: bool, state: MutableMapping[Tensor, Any]) -> None:
        """Take in the parameters that train; the momentum of one that is new is 0."""
        super().attach(slots, distribution=distribution, streamed=streamed, state=state)
        self._momenta = [kept_values(state, slot, name="momentum", first=0.0) for slot in slots]

    def prepare(self, step: int) -> None:
        """Note the length of the momentum, of which all directions of a step are made."""
        norm = math.sqrt(sum(float(torch.linalg.vector_norm(momentum, dtype=torch.float64)) ** 2 for momentum in self._momenta))
        self._along = math.sqrt(sum(map(len, self.slots))) * math.cos(self.angle) / norm if norm else 0.0
        self._across = math.sin(self.angle) if norm else 1.0

    def formed(self, noise: Tensor, direction: Direction, slot: Slot, part: Part) -> Tensor:
        """Return what lies along the momentum, and across."""
        return noise.mul_(self._across).add_(taken(self._momenta[slot.index], part), alpha=self._along)

    def learn(self, directions: Sequence[Direction], differences: Sequence[float], curvatures: Sequence[float]) -> None:
        """Bring the momentum forward; a block's directions are made of what it was before."""
        for slot, start, size in self.blocks():
            scale = (1 - self.momentum) / (slot.group["zo_eps"] * len(directions))
            found = torch.zeros(size, device=slot.device)
            for direction, difference in zip(directions, differences, strict=True):
                found.add_(self.values(direction, slot, start=start, size=size), alpha=difference * scale)
            taken(self._momenta[slot.index], slice(start, start + size)).mul_(self.momentum).add_(found)
