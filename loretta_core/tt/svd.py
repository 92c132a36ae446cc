"""A given matrix as a tensor train: TT-SVD, and rounding of a train to lower ranks (Oseledets, SIAM J. Sci. Comput. 33, 2011).

Both cut one rank after another with a singular value decomposition. What a cut at rank r drops, ε_i² = Σ_{j>r} σ_j², bounds the result:

    ‖W - TT‖_F ≤ (ε_1² + … + ε_{d-1}²)^½, and this is at most (d-1)^½ times the error of the best train of these ranks

Computed in fp64, returned in the dtype of what came in. Shapes: M rows of an unfolding, K one mode, R/S ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from loretta_core.tt.shapes import TTShape


@dataclass(frozen=True)
class Truncation:
    """A tensor train and a bound on its distance from what it replaces."""

    cores: tuple[Tensor, ...]
    shape: TTShape
    error_bound: float
    """In the Frobenius norm of the (padded) matrix."""


@torch.no_grad()
def tt_svd(matrix_OI: Float[Tensor, "O I"], *, shape: TTShape, tolerance: float | None = None) -> Truncation:
    """Return the train of `shape` that TT-SVD finds for a matrix in the layout of `nn.Linear.weight`.

    With a `tolerance` the ranks shrink below those of `shape` where the error stays under tolerance * ‖W‖_F; without one they are exactly those of `shape`.
    """
    assert matrix_OI.shape == (shape.out_features, shape.in_features), (matrix_OI.shape, shape)
    padding = (0, shape.padded_out - shape.out_features, 0, shape.padded_in - shape.in_features)
    rest = F.pad(matrix_OI.t().double(), padding).reshape(1, -1)
    budget = None if tolerance is None else tolerance * float(rest.norm()) / math.sqrt(max(1, len(shape.modes) - 1))
    cores, dropped = [], []
    for mode, rank in zip(shape.modes[:-1], shape.ranks[1:-1], strict=True):
        left = rest.shape[0]
        u_MR, rest, error = _cut(rest.reshape(left * mode, -1), rank=rank, budget=budget)
        cores.append(u_MR.reshape(left, mode, -1))
        dropped.append(error)
    cores.append(rest.reshape(rest.shape[0], shape.modes[-1], 1))
    return _result(cores, dropped, shape=shape, dtype=matrix_OI.dtype, exact_ranks=tolerance is None)


@torch.no_grad()
def tt_round(cores: Sequence[Tensor], *, shape: TTShape, rank: int | None = None, tolerance: float | None = None) -> Truncation:
    """Return the same matrix with ranks of at most `rank`, smaller where the error stays under tolerance * ‖W‖_F. The rebuilt matrix is never formed."""
    work = _right_orthogonal([core.double() for core in cores])
    budget = None if tolerance is None else tolerance * float(work[0].norm()) / math.sqrt(max(1, len(work) - 1))
    dropped = []
    for place in range(len(work) - 1):
        left, mode, right = work[place].shape
        u_MR, carry_RS, error = _cut(work[place].reshape(left * mode, right), rank=right if rank is None else min(rank, right), budget=budget)
        work[place] = u_MR.reshape(left, mode, -1)
        work[place + 1] = torch.einsum("rs,skt->rkt", carry_RS, work[place + 1])
        dropped.append(error)
    return _result(work, dropped, shape=shape, dtype=cores[0].dtype, exact_ranks=False)


def _right_orthogonal(cores: list[Tensor]) -> list[Tensor]:
    """Return the same train with orthonormal rows in every core but the first, which then carries the norm."""
    for place in range(len(cores) - 1, 0, -1):
        left, mode, right = cores[place].shape
        q, r = torch.linalg.qr(cores[place].reshape(left, mode * right).t())
        cores[place] = q.t().reshape(-1, mode, right)
        cores[place - 1] = torch.einsum("rks,ts->rkt", cores[place - 1], r)
    return cores


def _cut(unfolding: Tensor, *, rank: int, budget: float | None) -> tuple[Tensor, Tensor, float]:
    """Return (left factor, right factor, norm of what is dropped) of a truncated SVD."""
    u, s, vh = torch.linalg.svd(unfolding, full_matrices=False)
    tails = s.flip(0).square().cumsum(0).flip(0).sqrt()  # tails[r]: what keeping r singular values drops
    keep = min(rank, len(s))
    if budget is not None:
        keep = max(1, min(keep, int((tails > budget).sum())))
    error = float(tails[keep]) if keep < len(s) else 0.0
    return u[:, :keep], s[:keep, None] * vh[:keep], error


def _result(cores: list[Tensor], dropped: list[float], *, shape: TTShape, dtype: torch.dtype, exact_ranks: bool) -> Truncation:
    if exact_ranks:  # ranks above the unfolding ("paper" does not cap them) are filled with zeros
        cores = [_zero_padded(core, size) for core, size in zip(cores, shape.core_sizes, strict=True)]
    ranks = (1, *(core.shape[2] for core in cores))
    return Truncation(tuple(core.to(dtype).contiguous() for core in cores), replace(shape, ranks=ranks), math.hypot(*dropped))


def _zero_padded(core: Tensor, size: tuple[int, int, int]) -> Tensor:
    left, _, right = size
    return F.pad(core, (0, right - core.shape[2], 0, 0, 0, left - core.shape[0]))
