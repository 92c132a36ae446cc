"""Directions that are shorter where the loss is steeply curved (HiZOO, arXiv 2402.15173).

    z = n / √h              n dense noise, h > 0 an estimate of the Hessian's diagonal, 1 at first: HiZOO's Σ⁻¹
    c = L(θ + εz) + L(θ − εz) − 2 L(θ)
    h ← (1 − α) h + α/q Σ_k |c_k| / (2ε²) · n_k² h          after the update; α is `smoothing`

    E[d/ε · z] = ∇L(θ) / h: a step along the gradient that the curvature has rescaled

c takes the loss at θ, one evaluation more per step: three with one direction. HiZOO divides the update by the new √h and the perturbation by the old one; here
both are divided by the old, so that what updates is what perturbed. h is one fp32 number per trained one.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from loretta_core.zo.directions.base import Slot
from loretta_core.zo.directions.value_by_value import Part, ValueByValue, kept_values, taken
from loretta_core.zo.noise import Direction, Distribution


@dataclass
class Curvature(ValueByValue):
    """Dense directions over the square root of the estimated curvature.

    Raises ValueError for settings out of range.
    """

    smoothing: float = 1e-6
    """α: how soon the estimate follows. Its factor on h may be thousands: |c|/2ε² is of the size of the Hessian's trace."""

    type = "curvature"
    curvatures = True
    keeps_state = True

    def __post_init__(self) -> None:
        if not 0 < self.smoothing < 1:
            raise ValueError(f"expected 0 < smoothing < 1; got {self.smoothing}")

    def attach(self, slots: Sequence[Slot], *, distribution: Distribution, streamed: bool, state: MutableMapping[Tensor, Any]) -> None:
        """Take in the parameters that train; h of one that is new is 1."""
        super().attach(slots, distribution=distribution, streamed=streamed, state=state)
        self._curvatures = [kept_values(state, slot, name="curvature", first=1.0) for slot in slots]

    def formed(self, noise: Tensor, direction: Direction, slot: Slot, part: Part) -> Tensor:
        """Return n / √h."""
        return noise.mul_(taken(self._curvatures[slot.index], part).rsqrt())

    def learn(self, directions: Sequence[Direction], differences: Sequence[float], curvatures: Sequence[float]) -> None:
        """Bring the estimate h forward."""
        for slot, start, size in self.blocks():
            eps, part = slot.group["zo_eps"], slice(start, start + size)
            growth = 0.0
            for direction, curvature in zip(directions, curvatures, strict=True):
                growth = growth + self.drawn(direction, slot, part).square_().mul_(abs(curvature) / (2 * eps * eps * len(directions)))
            assert isinstance(growth, Tensor)
            taken(self._curvatures[slot.index], part).mul_(growth.mul_(self.smoothing).add_(1 - self.smoothing))
