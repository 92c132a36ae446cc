"""Sparse directions: some values are perturbed and trained in a step, the others are left alone.

    z = m ⊙ n          n dense noise, m a mask that all directions of a step share
    magnitude   m_i = 1 for the smallest |θ_i| of each parameter      Sparse-MeZO (arXiv 2402.15751): small weights learn with less noise
    random      m_i = 1 with probability 1 − sparsity, anew every step    the sparse gradients of ZO-Bench (arXiv 2402.11592)

    E[d/ε · z] = m ⊙ ∇L(θ); over random masks (1 − sparsity) ∇L(θ)

Magnitudes are those of θ itself, never of θ + εz. Sparse-MeZO fixes each layer's threshold before training; here it is that of the present θ, because a matrix
that begins at zero (LoRA's B) would have the threshold 0 and stop after its first step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from loretta_core.zo.directions.base import Slot
from loretta_core.zo.directions.value_by_value import Part, ValueByValue, taken
from loretta_core.zo.noise import Direction, draw, draw_rows

_MASK = -2
"""Index of the noise, within its step, that decides a random mask (−1 rounds the update)."""


@dataclass
class Sparse(ValueByValue):
    """Dense directions with a mask.

    Raises ValueError for settings out of range.
    """

    sparsity: float = 0.75
    """Share of the values that a step leaves alone (Sparse-MeZO: 0.5 to 0.8)."""
    mask: Literal["magnitude", "random"] = "magnitude"
    """Which ones: the larger ones, or any."""

    type = "sparse"

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1 or self.mask not in ("magnitude", "random"):
            raise ValueError(f'expected 0 ≤ sparsity < 1 and mask "magnitude" or "random"; got {self.sparsity} and "{self.mask}"')

    def prepare(self, step: int) -> None:
        """Note each parameter's threshold at the present θ and, where there is room, its mask: an update of several directions changes θ between them."""
        if self.mask != "magnitude":
            return
        magnitudes = (slot.parameter.detach().abs().float() for slot in self.slots)
        self._thresholds = [_smallest(values, share=1 - self.sparsity) for values in magnitudes]
        pairs = zip(self.slots, self._thresholds, strict=True)
        self._masks = [] if self.streamed else [slot.parameter.detach().abs() <= threshold for slot, threshold in pairs]

    def formed(self, noise: Tensor, direction: Direction, slot: Slot, part: Part) -> Tensor:
        """Return the noise where the mask is 1, and 0 elsewhere."""
        if self.mask == "random":
            return noise.mul_(_uniform(Direction(direction.seed, direction.step, _MASK), slot, part) < 1 - self.sparsity)
        if self.streamed:
            return noise.mul_(taken(slot.parameter.detach(), part).abs() <= self._thresholds[slot.index])
        return noise.mul_(taken(self._masks[slot.index], part))


def _uniform(direction: Direction, slot: Slot, part: Part) -> Tensor:
    """Return uniform numbers in (0, 1), whatever the distribution of the directions."""
    if isinstance(part, Tensor):
        normal = draw_rows(direction, part, start=slot.start, width=slot.parameter.shape[1])
    else:
        normal = draw(direction, start=slot.start + part.start, size=part.stop - part.start, device=slot.device)
    return torch.special.ndtr(normal)


def _smallest(magnitudes: Tensor, *, share: float) -> Tensor:
    """Return the largest of the smallest magnitudes that make up a share of all, at least one."""
    values = magnitudes.view(-1)
    return values.kthvalue(max(1, round(share * len(values)))).values if len(values) else values.new_zeros(())
