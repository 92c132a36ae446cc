"""The layout of a matrix as a tensor train: modes, ranks, padding, counts. Standard library only.

A matrix of in x out entries is a chain of cores G_i of shape (r_{i-1}, k_i, r_i). There are three ways to choose the modes k_i:

    "auto"   the input and the output width are factored separately, so that the cores always split into input cores and output cores ("aligned"), which the
             fast contraction needs. The wider side comes first in descending order; h -> b and b -> h are mirror images of each other:
             tt_shape(768, 64)  ->  12, 8, 8 | 8, 8        tt_shape(64, 768)  ->  8, 8 | 8, 8, 12
    "paper"  the lists of the paper (`tt/paper.py`), aligned or not, every inner rank equal to the one asked for: its parameter counts
    a list   modes that multiply to in * out; where no first few multiply to in, the matrix is rebuilt instead of contracted

Any width works with "auto": one whose best factorization has a mode above 64 (large primes) is padded up to the next width that factors into modes of at
most 16, and the padding is cropped from the halves, never from the data. A rank is capped at the size of the unfolding it sits in ("paper" excepted): more
could not be used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from loretta_core.errors import MethodError
from loretta_core.tt.paper import paper_modes

IDEAL_MODE = 10
"""Modes near this size give the fewest parameters for the widths of language models (reference tables: 8 to 16)."""
LARGEST_MODE = 64
"""Above this, an exact factorization costs more parameters than padding does."""
LARGEST_PADDED_MODE = 16

Shape = str | Sequence[int]
"""A setting: "auto", "paper" or modes."""


@dataclass(frozen=True)
class TTShape:
    """The cores of one matrix."""

    in_features: int
    out_features: int
    modes: tuple[int, ...]
    cut: int | None
    """How many cores, the first ones, belong to the input; None if one core straddles the boundary."""
    ranks: tuple[int, ...]
    """r_0 = 1, r_1, …, r_d = 1: one more than there are modes."""

    @property
    def core_sizes(self) -> tuple[tuple[int, int, int], ...]:
        """(r, k, r') of every core, in order."""
        return tuple((left, mode, right) for mode, (left, right) in zip(self.modes, pairwise(self.ranks), strict=True))

    @property
    def parameter_count(self) -> int:
        """Numbers in all cores."""
        return sum(left * mode * right for left, mode, right in self.core_sizes)

    @property
    def aligned(self) -> bool:
        """True if the cores split into input cores and output cores."""
        return self.cut is not None

    @property
    def in_modes(self) -> tuple[int, ...]:
        """They multiply to at least `in_features`; the excess is padding. Aligned shapes only."""
        assert self.cut is not None
        return self.modes[: self.cut]

    @property
    def out_modes(self) -> tuple[int, ...]:
        """Modes of the output cores. Aligned shapes only."""
        assert self.cut is not None
        return self.modes[self.cut :]

    @property
    def mid_rank(self) -> int:
        """The rank between the last input core and the first output core. Aligned shapes only."""
        assert self.cut is not None
        return self.ranks[self.cut]

    @property
    def padded_in(self) -> int:
        """Input width with padding."""
        return math.prod(self.in_modes) if self.aligned else self.in_features

    @property
    def padded_out(self) -> int:
        """Output width with padding."""
        return math.prod(self.out_modes) if self.aligned else self.out_features

    @property
    def padding_overhead(self) -> float:
        """Share of the padded matrix that is never used: 0 when both widths factor well."""
        return 1.0 - (self.in_features * self.out_features) / (self.padded_in * self.padded_out)

    @property
    def contracts(self) -> bool:
        """True if two skinny products are possible and cheaper than rebuilding the matrix: r_mid < in*out / (in+out)."""
        return self.aligned and self.mid_rank * (self.in_features + self.out_features) < self.in_features * self.out_features


def tt_shape(in_features: int, out_features: int, *, rank: int, shape: Shape = "auto") -> TTShape:
    """Return the layout of an in x out matrix with cores of at most `rank`. Raises MethodError for widths or ranks below 1 and for modes that do not fit."""
    if in_features < 1 or out_features < 1:
        raise MethodError(f"a tensor train needs widths of at least 1, got {in_features} x {out_features}")
    if rank < 1:
        raise MethodError(f"tensor_rank = {rank}: expected at least 1")
    if shape == "auto":
        in_modes, out_modes = _auto_modes(in_features, out_features)
        modes = in_modes + out_modes
        return TTShape(in_features, out_features, modes, len(in_modes), _capped_ranks(modes, rank=rank))
    if shape == "paper":
        modes = paper_modes(in_features, out_features)
        return TTShape(in_features, out_features, modes, _cut(modes, in_features), (1, *[rank] * (len(modes) - 1), 1))
    modes = _checked(shape, in_features=in_features, out_features=out_features)
    return TTShape(in_features, out_features, modes, _cut(modes, in_features), _capped_ranks(modes, rank=rank))


def tt_parameter_count(in_features: int, out_features: int, *, rank: int, shape: Shape = "auto", bias: bool = False) -> int:
    """Return the parameters of a TTLinear, without building it. Raises MethodError as `tt_shape` does."""
    return tt_shape(in_features, out_features, rank=rank, shape=shape).parameter_count + (out_features if bias else 0)


def mirrored(shape: Shape) -> Shape:
    """Return the setting for the matrix of the opposite direction, out x in."""
    return shape if isinstance(shape, str) else tuple(reversed(shape))


def joint_modes(width: int, columns: int) -> tuple[tuple[int, ...], int, int]:
    """Return the modes of two matrices of `width` x `columns` in one train, and (rows, columns) of each with padding. The first mode tells the two apart."""
    row_modes, column_modes = factor(width)[::-1], factor(columns)
    return (2, *row_modes, *column_modes), math.prod(row_modes), math.prod(column_modes)


def _auto_modes(in_features: int, out_features: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    in_modes, out_modes = factor(in_features), factor(out_features)
    if in_features >= out_features:
        return in_modes[::-1], out_modes[::-1]
    return in_modes, out_modes


def _checked(shape: Shape, *, in_features: int, out_features: int) -> tuple[int, ...]:
    """Return an explicit list of modes. Raises MethodError unless it multiplies to the matrix."""
    if isinstance(shape, str):
        raise MethodError(f"shape = {shape!r}: expected 'auto', 'paper' or a list of modes")
    modes = tuple(shape)
    if len(modes) < 2:
        raise MethodError(f"shape = {list(modes)}: a tensor train needs at least two modes, such as [{in_features}, {out_features}]")
    if any(mode < 1 for mode in modes):
        raise MethodError(f"shape = {list(modes)}: every mode must be at least 1")
    if math.prod(modes) != in_features * out_features:
        raise MethodError(
            f"shape = {list(modes)} multiplies to {math.prod(modes)}, but the matrix is {in_features} x {out_features} = {in_features * out_features}; "
            f"'auto' takes {[*tt_shape(in_features, out_features, rank=1).modes]}"
        )
    return modes


def _cut(modes: Sequence[int], in_features: int) -> int | None:
    """Return how many modes multiply to the input width; None if no first few do."""
    return next((cut for cut in range(1, len(modes)) if math.prod(modes[:cut]) == in_features), None)


def _capped_ranks(modes: Sequence[int], *, rank: int) -> tuple[int, ...]:
    """Return the ranks, each inner one at most the product of the modes on either side of it."""
    inner = [min(rank, math.prod(modes[:cut]), math.prod(modes[cut:])) for cut in range(1, len(modes))]
    return (1, *inner, 1)


@lru_cache(maxsize=4096)
def factor(width: int) -> tuple[int, ...]:
    """Return balanced modes of a width, ascending; their product is the width, or a little more where the width factors badly."""
    exact = _best_factorization(width)
    if exact[-1] <= LARGEST_MODE:
        return exact
    padded = width + 1
    while (modes := _best_factorization(padded))[-1] > LARGEST_PADDED_MODE:
        padded += 1
    return modes


@lru_cache(maxsize=8192)
def _best_factorization(width: int) -> tuple[int, ...]:
    """Return the most balanced factorization: for each number of factors the list with the smallest sum, of these the one nearest to IDEAL_MODE."""
    most = max(1, int(math.log2(width))) if width > 1 else 1
    balanced = [min(found, key=sum) for count in range(1, most + 1) if (found := list(_factorizations(width, count=count, smallest=2)))]
    return min(balanced, key=_distance_from_ideal)


def _distance_from_ideal(modes: tuple[int, ...]) -> float:
    return sum(abs(math.log(mode / IDEAL_MODE)) for mode in modes) / len(modes)


def _factorizations(width: int, *, count: int, smallest: int) -> Iterator[tuple[int, ...]]:
    """Yield all non-decreasing lists of `count` factors, none below `smallest` (a single factor may be 1: the width 1)."""
    if count == 1:
        if width >= smallest or width == 1:
            yield (width,)
        return
    for head in range(smallest, math.floor(width ** (1 / count) + 1e-9) + 1):
        if width % head == 0:
            for tail in _factorizations(width // head, count=count - 1, smallest=head):
                yield (head, *tail)
