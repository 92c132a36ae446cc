"""Scalings of a step: differences d_1 … d_q → the factors c_k of  θ ← θ − η/q Σ_k c_k z_k.

    gradient   c = d / ε = g                                the projected gradient: MeZO (arXiv 2305.17333)
    sign       c = sign d                                   ZO-SGD-Sign as in ZO-Bench (arXiv 2402.11592): of g, not of each coordinate of g z
    std        c = d / σ        σ² = Σ (d − mean d)² / (q − 1) over the step's directions          FZOO (arXiv 2506.09034); q ≥ 2
    rms        c = d / √v̂      v ← β v + (1 − β) mean d²,  v̂ = v / (1 − βᵗ)                      MEAZO (arXiv 2605.03869): one number of state

All but the first are free of ε and of the loss's unit: a coordinate moves by about η/√q. σ/ε estimates the norm of the gradient, so `std` is normalised
SGD; its η is that of FZOO's code (the paper's formula has a factor 1/ε more). The factors depend on d and on earlier steps alone, so replay computes them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

Scaling = Literal["gradient", "sign", "std", "rms"]

BETA = 0.99
"""β of `rms`, an average over about the last hundred steps."""


def step_factors(differences: Sequence[float], *, scaling: Scaling, second_moment: float) -> tuple[float, ...]:
    """Return c of each direction for all scalings but "gradient", where ε belongs to a parameter group. `second_moment` is v̂ with this step in it.

    Zeros where there is no scale: all differences are the same (std) or zero. Raises ValueError for `std` with one direction.
    """
    match scaling:
        case "sign":
            return tuple(math.copysign(1.0, value) if value else 0.0 for value in differences)
        case "std":
            if len(differences) < 2:
                raise ValueError("scaling 'std' divides by the spread of a step's differences; use num_directions ≥ 2")
            return _normalised(differences, statistics.stdev(differences))
        case "rms":
            return _normalised(differences, math.sqrt(second_moment))
        case "gradient":
            raise AssertionError("ε belongs to a parameter group")


def update_second_moment(moment: float, differences: Sequence[float]) -> float:
    """Return v after a step."""
    return BETA * moment + (1 - BETA) * statistics.fmean(value * value for value in differences)


def bias_corrected(moment: float, *, steps: int) -> float:
    """Return v̂ after `steps` ≥ 1 steps."""
    return moment / (1 - BETA**steps)


def _normalised(differences: Sequence[float], scale: float) -> tuple[float, ...]:
    return tuple(value / scale for value in differences) if scale else (0.0,) * len(differences)
