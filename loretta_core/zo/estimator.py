"""SPSA: estimates the gradient along random directions from evaluations of the loss (Spall 1992; MeZO, arXiv 2305.17333, definition 1).

    two-sided   d = (L(θ + εz) − L(θ − εz)) / 2         2 evaluations per direction        E[d/ε · z] = ∇L(θ) + O(ε²)
    one-sided   d =  L(θ + εz) − L(θ)                   1 per direction and 1 per step     E[d/ε · z] = ∇L(θ) + O(ε)
    population  d =  L(θ + εz) − mean over the step     1 per direction                    E[d/ε · z] = (1 − 1/q) ∇L(θ) + O(ε): evolution strategies
    forward gradient   d = ⟨∇L(θ), εz⟩      1 per direction, with a tangent         E[d/ε · z] = ∇L(θ)              a baseline: `baselines/forward_gradient.py`

A `Probe` holds the differences d, not d/ε: parameter groups may differ in ε. They are rounded to fp32, the precision in which a replay log keeps them.
Losses are fp32 or better: at ε = 1e-3 a bf16 loss of 0.7 would quantise d/ε to multiples of 1.95.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from loretta_core.zo.baselines.forward_gradient import derivatives
from loretta_core.zo.guards.closures import Closure
from loretta_core.zo.parameters.placement import Shift, Storage
from loretta_core.zo.variants import Evaluator, Serial, Variant

Estimator = Literal["two_sided", "one_sided", "population", "forward_gradient"]


@dataclass(frozen=True)
class Probe:
    """The loss differences of one step."""

    loss: float
    """The loss at θ: exact for one-sided, to O(ε²) for two-sided estimates, with the noise of the directions for a population."""
    differences: tuple[float, ...]
    """d of each direction, fp32 values."""
    evaluations: int = 0
    """Number of losses that were computed."""
    curvatures: tuple[float, ...] = ()
    """L(θ + εz) + L(θ − εz) − 2 L(θ) of each direction, fp32 values, where they were asked for."""

    @property
    def numbers(self) -> tuple[float, ...]:
        """The numbers that decide the update, which a log keeps: the differences, then the curvatures."""
        return (*self.differences, *self.curvatures)

    @property
    def finite(self) -> bool:
        """True if every loss was finite."""
        return all(map(math.isfinite, self.numbers))


@torch.no_grad()
def probe(
    closure: Closure,
    *,
    storage: Storage,
    shifts: Iterable[Shift],
    estimator: Estimator = "two_sided",
    evaluator: Evaluator | None = None,
    curvatures: bool = False,
) -> Probe:
    """Evaluate the loss along every shift εz; θ itself is never written, also when the closure raises.

    `curvatures` asks a two-sided estimate for second differences as well, which takes the loss at θ: one evaluation more per step.
    """
    evaluator = evaluator or Serial()
    if estimator == "forward_gradient":
        if not isinstance(evaluator, Serial):
            raise ValueError(f'estimator "forward_gradient" differentiates one direction after the other on one worker; got {type(evaluator).__name__}')
        loss, slopes = derivatives(closure, storage=storage, shifts=shifts)
        return Probe(loss, tuple(map(as_fp32, slopes)), len(slopes))
    if estimator == "one_sided":
        base, *losses = evaluator.losses(closure, storage=storage, variants=_theta_and_shifted(shifts, signs=(1,)))
        return Probe(base, tuple(as_fp32(loss - base) for loss in losses), 1 + len(losses))
    if estimator == "population":
        losses = evaluator.losses(closure, storage=storage, variants=(Variant(1, shift) for shift in shifts))
        mean = losses[0] + sum(loss - losses[0] for loss in losses) / len(losses)  # equal losses are their mean, to the bit
        return Probe(mean, tuple(as_fp32(loss - mean) for loss in losses), len(losses))
    if curvatures:
        base, *losses = evaluator.losses(closure, storage=storage, variants=_theta_and_shifted(shifts, signs=(1, -1)))
        sides = list(zip(losses[::2], losses[1::2], strict=True))
        seconds = tuple(as_fp32(plus + minus - 2 * base) for plus, minus in sides)
        return Probe(base, tuple(as_fp32(0.5 * (plus - minus)) for plus, minus in sides), 1 + len(losses), seconds)
    losses = evaluator.losses(closure, storage=storage, variants=(Variant(sign, shift) for shift in shifts for sign in (1, -1)))
    sides = list(zip(losses[::2], losses[1::2], strict=True))
    return Probe(sum(losses) / len(losses), tuple(as_fp32(0.5 * (plus - minus)) for plus, minus in sides), len(losses))


def _theta_and_shifted(shifts: Iterable[Shift], *, signs: Sequence[int]) -> Iterator[Variant]:
    """Yield θ, then every shifted variant: θ is a variant like the others, so that batched and distributed evaluators need no special case."""
    for index, shift in enumerate(shifts):
        if index == 0:
            yield Variant(0, shift)
        for sign in signs:
            yield Variant(sign, shift)


def as_fp32(value: float) -> float:
    """Return the nearest fp32 number; a value beyond their range is infinite."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
