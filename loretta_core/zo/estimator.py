"""SPSA: the gradient's component along random directions, from evaluations of the loss (Spall 1992; MeZO, arXiv 2305.17333, definition 1).

    two-sided   d = (L(θ + εz) − L(θ − εz)) / 2         2 evaluations per direction        E[d/ε · z] = ∇L(θ) + O(ε²)
    one-sided   d =  L(θ + εz) − L(θ)                   1 per direction and 1 per step     E[d/ε · z] = ∇L(θ) + O(ε)

A `Probe` holds the differences d, not d/ε: parameter groups may differ in ε. They are rounded to fp32, the precision in which a replay log keeps them.
Losses are fp32 or better: at ε = 1e-3 a bf16 loss of 0.7 would quantise d/ε to multiples of 1.95.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from loretta_core.zo.flat import FlatParameters

Closure = Callable[[], Tensor | float]
"""() → scalar loss at the current parameters, without a backward pass; called under no_grad."""

Estimator = Literal["two_sided", "one_sided"]


@dataclass(frozen=True)
class Probe:
    """What the evaluations of one step say."""

    loss: float
    """The loss at θ: exact for one-sided, to O(ε²) for two-sided estimates."""
    differences: tuple[float, ...]
    """d of each direction, fp32 values."""

    @property
    def finite(self) -> bool:
        """Whether every loss was finite."""
        return all(map(math.isfinite, self.differences))


@torch.no_grad()
def probe(closure: Closure, *, flat: FlatParameters, shifts: Iterable[Float[Tensor, " P"]], estimator: Estimator = "two_sided") -> Probe:
    """Evaluate the loss along every shift εz; θ itself is never written, whatever happens."""
    return _two_sided(closure, flat, shifts) if estimator == "two_sided" else _one_sided(closure, flat, shifts)


def as_fp32(value: float) -> float:
    """The nearest fp32 number; a value beyond their range is infinite."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def _two_sided(closure: Closure, flat: FlatParameters, shifts: Iterable[Float[Tensor, " P"]]) -> Probe:
    losses, differences = [], []
    with flat.shifted() as buffer_P:
        for shift_P in shifts:
            torch.add(flat.theta_P, shift_P, out=buffer_P)
            plus = float(closure())
            torch.sub(flat.theta_P, shift_P, out=buffer_P)
            minus = float(closure())
            losses.append(0.5 * (plus + minus))
            differences.append(as_fp32(0.5 * (plus - minus)))
    return Probe(sum(losses) / len(losses), tuple(differences))


def _one_sided(closure: Closure, flat: FlatParameters, shifts: Iterable[Float[Tensor, " P"]]) -> Probe:
    loss = float(closure())
    differences = []
    with flat.shifted() as buffer_P:
        for shift_P in shifts:
            torch.add(flat.theta_P, shift_P, out=buffer_P)
            differences.append(as_fp32(float(closure()) - loss))
    return Probe(loss, tuple(differences))
