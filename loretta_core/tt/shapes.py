"""How a matrix is laid out as a tensor train: modes, ranks, padding, counts. Standard library only.

A matrix of in x out entries is a chain of cores G_i of shape (r_{i-1}, k_i, r_i). The input and the output width are factored separately, so that the
cores always split into input cores and output cores ("aligned"); this is what the fast contraction needs and what the authors' tables often lack
(LoRETTA, arXiv 2402.11417, table 10). The wider side comes first in descending order, and h -> b and b -> h are mirror images of each other:

    tt_shape(768, 64)  ->  12, 8, 8 | 8, 8        tt_shape(64, 768)  ->  8, 8 | 8, 8, 12

Any width works: one whose best factorization has a mode above 64 (large primes) is padded up to the next width that factors into modes of at most 16,
and the padding is cropped from the halves, never from the data. A rank is capped at the size of the unfolding it sits in: more could not be used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from loretta_core.errors import MethodError

IDEAL_MODE = 10
"""Modes near this size give the fewest parameters for the widths of language models (reference tables: 8 to 16)."""
LARGEST_MODE = 64
"""Above this, an exact factorization costs more parameters than padding does."""
LARGEST_PADDED_MODE = 16


@dataclass(frozen=True)
class TTShape:
    """The cores of one matrix. `in_modes` multiply to at least `in_features`, `out_modes` to at least `out_features`; the excess is padding."""

    in_features: int
    out_features: int
    in_modes: tuple[int, ...]
    out_modes: tuple[int, ...]
    ranks: tuple[int, ...]
    """r_0 = 1, r_1, …, r_d = 1: one more than there are modes."""

    @property
    def modes(self) -> tuple[int, ...]:
        return self.in_modes + self.out_modes

    @property
    def core_sizes(self) -> tuple[tuple[int, int, int], ...]:
        """(r, k, r') of every core, in order."""
        return tuple((left, mode, right) for mode, (left, right) in zip(self.modes, pairwise(self.ranks), strict=True))

    @property
    def parameter_count(self) -> int:
        return sum(left * mode * right for left, mode, right in self.core_sizes)

    @property
    def mid_rank(self) -> int:
        """The rank between the last input core and the first output core."""
        return self.ranks[len(self.in_modes)]

    @property
    def padded_in(self) -> int:
        return math.prod(self.in_modes)

    @property
    def padded_out(self) -> int:
        return math.prod(self.out_modes)

    @property
    def padding_overhead(self) -> float:
        """Share of the padded matrix that is never used: 0 when both widths factor well."""
        return 1.0 - (self.in_features * self.out_features) / (self.padded_in * self.padded_out)

    @property
    def contracts(self) -> bool:
        """True if two skinny products are cheaper than rebuilding the matrix: r_mid < in*out / (in+out)."""
        return self.mid_rank * (self.in_features + self.out_features) < self.in_features * self.out_features


def tt_shape(in_features: int, out_features: int, *, rank: int, shape: str | Sequence[int] = "auto") -> TTShape:
    """Lay out an in x out matrix with cores of at most `rank`. `shape` is "auto" or a list of modes whose first few multiply to `in_features`.

    Raises MethodError for widths or ranks below 1 and for modes that do not fit.
    """
    if in_features < 1 or out_features < 1:
        raise MethodError(f"a tensor train needs widths of at least 1, got {in_features} x {out_features}")
    if rank < 1:
        raise MethodError(f"tensor_rank = {rank}: expected at least 1")
    in_modes, out_modes = _auto_modes(in_features, out_features) if shape == "auto" else _split(shape, in_features=in_features, out_features=out_features)
    return TTShape(in_features, out_features, in_modes, out_modes, _capped_ranks(in_modes + out_modes, rank=rank))


def mirrored(shape: str | Sequence[int]) -> str | Sequence[int]:
    """The setting for the matrix of the opposite direction, out x in."""
    return shape if isinstance(shape, str) else tuple(reversed(shape))


def _auto_modes(in_features: int, out_features: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    in_modes, out_modes = factor(in_features), factor(out_features)
    if in_features >= out_features:
        return in_modes[::-1], out_modes[::-1]
    return in_modes, out_modes


def _split(shape: str | Sequence[int], *, in_features: int, out_features: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Cut an explicit list of modes where its product reaches the input width."""
    if isinstance(shape, str):
        raise MethodError(f"shape = {shape!r}: expected 'auto' or a list of modes")
    modes = tuple(shape)
    if any(mode < 1 for mode in modes):
        raise MethodError(f"shape = {list(modes)}: every mode must be at least 1")
    if math.prod(modes) != in_features * out_features:
        raise MethodError(
            f"shape = {list(modes)} multiplies to {math.prod(modes)}, but the matrix is {in_features} x {out_features} = {in_features * out_features}"
        )
    for cut in range(1, len(modes)):
        if math.prod(modes[:cut]) == in_features:
            return modes[:cut], modes[cut:]
    raise MethodError(
        f"shape = {list(modes)} is not aligned with {in_features} x {out_features}: its first modes must multiply to {in_features}; "
        f"'auto' takes {[*tt_shape(in_features, out_features, rank=1).modes]}"
    )


def _capped_ranks(modes: Sequence[int], *, rank: int) -> tuple[int, ...]:
    """Each inner rank is at most the product of the modes on either side of it."""
    inner = [min(rank, math.prod(modes[:cut]), math.prod(modes[cut:])) for cut in range(1, len(modes))]
    return (1, *inner, 1)


@lru_cache(maxsize=4096)
def factor(width: int) -> tuple[int, ...]:
    """Balanced modes of a width, ascending; their product is the width, or a little more where the width factors badly."""
    exact = _best_factorization(width)
    if exact[-1] <= LARGEST_MODE:
        return exact
    padded = width + 1
    while (modes := _best_factorization(padded))[-1] > LARGEST_PADDED_MODE:
        padded += 1
    return modes


@lru_cache(maxsize=8192)
def _best_factorization(width: int) -> tuple[int, ...]:
    """Of each number of factors the list with the smallest sum; of these the one whose factors are nearest to IDEAL_MODE."""
    most = max(1, int(math.log2(width))) if width > 1 else 1
    balanced = [min(found, key=sum) for count in range(1, most + 1) if (found := list(_factorizations(width, count=count, smallest=2)))]
    return min(balanced, key=_distance_from_ideal)


def _distance_from_ideal(modes: tuple[int, ...]) -> float:
    return sum(abs(math.log(mode / IDEAL_MODE)) for mode in modes) / len(modes)


def _factorizations(width: int, *, count: int, smallest: int) -> Iterator[tuple[int, ...]]:
    """All non-decreasing lists of `count` factors, none below `smallest` (a single factor may be 1: the width 1)."""
    if count == 1:
        if width >= smallest or width == 1:
            yield (width,)
        return
    for head in range(smallest, math.floor(width ** (1 / count) + 1e-9) + 1):
        if width % head == 0:
            for tail in _factorizations(width // head, count=count - 1, smallest=head):
                yield (head, *tail)
