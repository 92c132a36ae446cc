"""The orthogonalised update of ZO-Muon (arXiv 2602.17155): a matrix moves along the polar factor of its estimate.

    Ĝ = Σ_k c_k z_k            θ ← (1 − ηλ) θ − η msign(Ĝ)        msign(U S Vᵀ) = U Vᵀ, by five Newton-Schulz iterations (Muon, Jordan et al. 2024)

With directions z = P Ψ (`directions/projected.py`) msign(P Ĉ) = P msign(Ĉ), Ĉ = Σ_k c_k Ψ_k: r·n numbers in place of m·n. Singular values end near 1, so that
every direction of the estimate counts about the same, and neither ε nor the loss's unit decides the length of a step.

What is not a matrix has one column: it moves along ĝ/‖ĝ‖. That is ours, the paper's experiments move it along ĝ.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from loretta_core.zo.directions.base import Directions, Slot
from loretta_core.zo.directions.projected import Projected
from loretta_core.zo.noise import Direction

ITERATIONS = 5
"""Newton-Schulz iterations (Muon: 5)."""
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic a x + b x³ + c x⁵ that drives singular values to about 1 (Muon's)."""


def msign(matrix_MN: Float[Tensor, "M N"]) -> Float[Tensor, "M N"]:
    """Return the matrix with its singular values replaced by about 1; zeros stay zeros."""
    a, b, c = COEFFICIENTS
    wide = len(matrix_MN) <= matrix_MN.shape[1]
    x = matrix_MN if wide else matrix_MN.T
    x = x / torch.linalg.matrix_norm(x).clamp_min(1e-30)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.T


class Orthogonal(Directions):
    """The change that a step subtracts per unit of learning rate, asked for like a direction: by values of a parameter.

    Args:
        draws: how the step's directions are drawn.
        directions, weights: the directions and what each counts, in any unit.
    """

    type = "orthogonal"

    def __init__(self, draws: Directions, *, directions: Sequence[Direction], weights: Sequence[float]) -> None:
        self.slots = draws.slots
        self._draws, self._terms = draws, list(zip(directions, weights, strict=True))
        self._last: tuple[int, Tensor] | None = None

    def values(self, direction: Direction, slot: Slot, *, start: int, size: int) -> Float[Tensor, " N"]:
        """Return values of what is subtracted from a parameter; `direction` says nothing here."""
        if not (subspaces := _subspaces(self._draws, slot)):
            return self._of(slot)[start : start + size]
        width = slot.parameter.shape[1]
        first, last = start // width, -(-(start + size) // width)
        rows = subspaces.base(direction, slot)[first:last] @ self._of(slot)
        return rows.view(-1)[start - first * width :][:size]

    def rows(self, direction: Direction, slot: Slot, rows_U: Int64[Tensor, " U"]) -> Float[Tensor, "U H"]:
        """Return some rows of what is subtracted from a matrix."""
        return self.values(direction, slot, start=0, size=len(slot)).view(slot.parameter.shape)[rows_U]

    def _of(self, slot: Slot) -> Tensor:
        """Return msign(Ĉ) of a matrix in a subspace, else all values as a vector; the last parameter's is kept, of which blocks are asked one by one."""
        if self._last is None or self._last[0] != slot.index:
            self._last = (slot.index, self._computed(slot))
        return self._last[1]

    def _computed(self, slot: Slot) -> Tensor:
        if subspaces := _subspaces(self._draws, slot):
            return msign(sum((weight * subspaces.right(direction, slot).T for direction, weight in self._terms), torch.zeros((), device=slot.device)))
        estimate = torch.zeros(len(slot), device=slot.device)
        for direction, weight in self._terms:
            estimate.add_(self._draws.values(direction, slot, start=0, size=len(slot)), alpha=weight)
        if slot.parameter.ndim == 2 and min(slot.parameter.shape) > 1:
            return msign(estimate.view(slot.parameter.shape)).reshape(-1)
        return estimate.div_(torch.linalg.vector_norm(estimate).clamp_min(1e-30))


def _subspaces(draws: Directions, slot: Slot) -> Projected | None:
    """Return the directions if this parameter's lie in a subspace."""
    return draws if isinstance(draws, Projected) and draws.has_factors(slot) else None
