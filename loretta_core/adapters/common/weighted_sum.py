"""A weighted sum of loretta_rep adapters as one adapter of the same kind.

    Σ_i w_i s_i B_i A_i  =  [w_1 s_1 B_1 … w_n s_n B_n] [A_1; …; A_n]         s_i the scaling of adapter i

"cat" keeps every column, so r is the sum of the ranks, and takes the smallest tensor rank that holds both factors: exact to fp32 rounding. "svd" cuts the
product to the rank asked for. A tensor rank of one's own rounds the trains (TT-SVD). What either cut drops is returned, and said.

The product is never formed: its singular values and its norms are those of small matrices, after a QR of each factor. Shapes: O/I out/in features, R ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from loretta_core.tt.shapes import tt_shape
from loretta_core.tt.svd import tt_svd

COMBINATIONS = ("cat", "svd")

Factors = tuple[Tensor, Tensor]
"""(left_OR, right_RI): an update is their product."""

EXACT = 1e-6
"""A relative error below this is fp32 rounding."""


def concatenate(parts: Sequence[tuple[float, Factors]], *, width: int) -> Factors:
    """Return the factors of Σ weight * left @ right, filled with zeros to `width` columns and rows."""
    left_OR = torch.cat([weight * left for weight, (left, _) in parts], dim=1).double()
    right_RI = torch.cat([right for _, (_, right) in parts]).double()
    missing = width - left_OR.shape[1]
    return torch.nn.functional.pad(left_OR, (0, missing)), torch.nn.functional.pad(right_RI, (0, 0, 0, missing))


def cut_to_rank(factors: Factors, *, rank: int) -> Factors:
    """Return the best factors of `rank` columns and rows for the same product; the singular values are shared between them."""
    left_OR, right_RI = factors
    left_basis, left = torch.linalg.qr(left_OR)
    right_basis, right = torch.linalg.qr(right_RI.t())
    u, s, vh = torch.linalg.svd(left @ right.t())
    root = s[:rank].sqrt()
    found = (left_basis @ u[:, :rank]) * root, root[:, None] * (vh[:rank] @ right_basis.t())
    missing = rank - len(root)
    return torch.nn.functional.pad(found[0], (0, missing)), torch.nn.functional.pad(found[1], (0, 0, 0, missing))


def relative_error(wanted: Factors, found: Factors) -> float:
    """Return ‖wanted - found‖ / ‖wanted‖ of the two products, in the Frobenius norm; 0 where both are zero."""
    difference = torch.cat([wanted[0], -found[0].double()], dim=1), torch.cat([wanted[1], found[1].double()])
    size = _norm(wanted)
    return _norm(difference) / size if size else _norm(found)


def _norm(factors: Factors) -> float:
    left = torch.linalg.qr(factors[0], mode="r")[1]
    right = torch.linalg.qr(factors[1].t(), mode="r")[1]
    return float((left @ right.t()).norm())


def exact_tensor_rank(factors: Iterable[Factors]) -> int:
    """Return the smallest rank of cores that holds all these factors as trains of the shape "auto"."""
    return max(_rank_of(matrix) for pair in factors for matrix in pair)


def _rank_of(matrix_OI: Tensor) -> int:
    shape = tt_shape(matrix_OI.shape[1], matrix_OI.shape[0], rank=max(matrix_OI.shape) ** 2)  # no cap but that of the unfoldings
    return max(tt_svd(matrix_OI.double(), shape=shape, tolerance=EXACT / 10).shape.ranks)
