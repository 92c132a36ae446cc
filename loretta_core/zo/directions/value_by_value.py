"""Directions that are made of dense noise value by value: z_i = f(n_i, what is known of value i).

A subclass gives f. What it knows of a value has the parameter's shape (a mask, a curvature, a momentum) and is kept in the optimizer's state, in fp32, so that
a state dict carries it; it is brought forward block by block, without a tensor of the parameter's size besides.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, MutableMapping
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from loretta_core.zo.directions.base import Directions, Slot
from loretta_core.zo.noise import Direction

Part = slice | Tensor
"""The values of a parameter that are asked for: a range of flat indices, or numbers of rows of a matrix."""

BLOCK = 1 << 20
"""Number of values that are brought forward at once."""


class ValueByValue(Directions):
    """Base of the directions that are made of dense noise value by value."""

    @abstractmethod
    def formed(self, noise: Tensor, direction: Direction, slot: Slot, part: Part) -> Tensor:
        """Return z of some noise, which may be overwritten: that of a part of a parameter."""

    def values(self, direction: Direction, slot: Slot, *, start: int, size: int) -> Float[Tensor, " N"]:
        """Return values of a parameter's z."""
        part = slice(start, start + size)
        return self.formed(self.drawn(direction, slot, part), direction, slot, part)

    def rows(self, direction: Direction, slot: Slot, rows_U: Int64[Tensor, " U"]) -> Float[Tensor, "U H"]:
        """Return some rows of a matrix's z."""
        return self.formed(self.drawn(direction, slot, rows_U), direction, slot, rows_U)

    def drawn(self, direction: Direction, slot: Slot, part: Part) -> Tensor:
        """Return the noise of a part of a parameter."""
        if isinstance(part, Tensor):
            return self.noise_rows(direction, slot, part)
        return self.noise(direction, slot, start=part.start, size=part.stop - part.start)

    def whole(self, direction: Direction) -> Float[Tensor, " P"]:
        """Return z, formed in the place of the noise."""
        z_P = torch.empty(sum(map(len, self.slots)), device=self.slots[0].device)
        for slot in self.slots:
            z_P[slot.start : slot.start + len(slot)] = self.values(direction, slot, start=0, size=len(slot))
        return z_P

    def blocks(self) -> Iterator[tuple[Slot, int, int]]:
        """Yield every parameter in blocks: the slot, the first value and the number of values."""
        for slot in self.slots:
            for start in range(0, len(slot), BLOCK):
                yield slot, start, min(BLOCK, len(slot) - start)


def taken(kept: Tensor, part: Part) -> Tensor:
    """Return a part of a tensor of a parameter's shape."""
    return kept[part] if isinstance(part, Tensor) else kept.view(-1)[part]


def kept_values(state: MutableMapping[Tensor, Any], slot: Slot, *, name: str, first: float) -> Tensor:
    """Return what an optimizer's state keeps of every value of a parameter, in fp32 on its device; `first` everywhere if it keeps nothing yet."""
    kept = state[slot.parameter].get(name)
    if kept is None or kept.shape != slot.parameter.shape:
        kept = torch.full(slot.parameter.shape, first, device=slot.device)
    state[slot.parameter][name] = kept = kept.to(device=slot.device, dtype=torch.float32).contiguous()
    return kept
