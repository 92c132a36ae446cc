"""Directions of low rank: z = A Bᵀ for every matrix, dense for all other parameters (norms, biases, tensor-train cores).

A is asked for by rows, so that a streamed matrix is perturbed block by block; B is small.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from loretta_core.zo.directions.base import Directions, Slot
from loretta_core.zo.noise import Direction


class Factored(Directions):
    """Base of the directions whose matrices have factors."""

    @abstractmethod
    def has_factors(self, slot: Slot) -> bool:
        """Return whether this parameter's z is a product."""

    @abstractmethod
    def left(self, direction: Direction, slot: Slot, rows: slice | Int64[Tensor, " U"]) -> Float[Tensor, "U R"]:
        """Return rows of A."""

    @abstractmethod
    def right(self, direction: Direction, slot: Slot) -> Float[Tensor, "N R"]:
        """Return the factor B."""

    def factors(self, direction: Direction, slot: Slot) -> tuple[Float[Tensor, "M R"], Float[Tensor, "N R"]] | None:
        """Return A and B of a matrix, None of what is drawn densely."""
        if not self.has_factors(slot):
            return None
        return self.left(direction, slot, slice(0, len(slot.parameter))), self.right(direction, slot)

    def values(self, direction: Direction, slot: Slot, *, start: int, size: int) -> Float[Tensor, " N"]:
        """Return values of a parameter's z: of a matrix, from the rows that they lie in."""
        if not self.has_factors(slot):
            return self.noise(direction, slot, start=start, size=size)
        width = slot.parameter.shape[1]
        first, last = start // width, -(-(start + size) // width)
        product = self.left(direction, slot, slice(first, last)) @ self.right(direction, slot).T
        return product.view(-1)[start - first * width :][:size]

    def rows(self, direction: Direction, slot: Slot, rows_U: Int64[Tensor, " U"]) -> Float[Tensor, "U H"]:
        """Return some rows of a matrix's z."""
        if not self.has_factors(slot):
            return self.noise_rows(direction, slot, rows_U)
        return self.left(direction, slot, rows_U) @ self.right(direction, slot).T

    def whole(self, direction: Direction) -> Float[Tensor, " P"]:
        """Return z, every product written to its place."""
        z_P = torch.empty(sum(map(len, self.slots)), device=self.slots[0].device)
        for slot in self.slots:
            part_P = z_P[slot.start : slot.start + len(slot)]
            factors = self.factors(direction, slot)
            if factors is None:
                part_P.copy_(self.noise(direction, slot, start=0, size=len(slot)))
            else:
                torch.mm(factors[0], factors[1].T, out=part_P.view(slot.parameter.shape))
        return z_P
