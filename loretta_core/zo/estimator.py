"""SPSA: the gradient's component along a random direction, from two evaluations of the loss (Spall 1992; MeZO, arXiv 2305.17333, definition 1).

    g = (L(θ + εz) − L(θ − εz)) / 2ε            E[g z] = ∇L(θ) + O(ε²)

Losses are fp32 (or better): at ε = 1e-3 a bf16 loss of 0.7 would quantise g to multiples of 1.95.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from loretta_core.zo.flat import FlatParameters


@dataclass(frozen=True)
class TwoSided:
    """The loss on both sides of θ along one direction."""

    loss_plus: float
    loss_minus: float

    @property
    def loss(self) -> float:
        """Mean of the two sides: the loss at θ up to O(ε²)."""
        return 0.5 * (self.loss_plus + self.loss_minus)

    @property
    def half_difference(self) -> float:
        """(L₊ − L₋)/2; divided by ε it is the projected gradient."""
        return 0.5 * (self.loss_plus - self.loss_minus)


@torch.no_grad()
def two_sided(closure: Callable[[], Tensor | float], *, flat: FlatParameters, shift_P: Float[Tensor, " P"]) -> TwoSided:
    """Evaluate the loss at θ + shift and θ − shift; θ itself is not written."""
    with flat.shifted() as buffer_P:
        torch.add(flat.theta_P, shift_P, out=buffer_P)
        loss_plus = float(closure())
        torch.sub(flat.theta_P, shift_P, out=buffer_P)
        loss_minus = float(closure())
    return TwoSided(loss_plus, loss_minus)
