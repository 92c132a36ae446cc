"""Random directions as a pure function of (key, flat index): a counter-based generator in integer arithmetic.

    word(i)  = mix(mix(a + i·G) + b)                       64 bits; (a, b) from (seed, step, direction), G the golden-ratio increment
    sign     = one bit of a word, ±1                       64 per word
    Gaussian = QUANTILES[16 bits of a word]                4 per word; 65,536 equally likely quantiles of N(0, 1), scaled to variance 1

Index i of a direction is the same number for any split into tensors, any number of threads, on CPU and GPU: nothing is computed in floating point but a
table that is made once and checked against its digest. No generator state exists, so none is touched. `mix` is the finaliser of splitmix64 (Steele, Lea
and Flood, 2014); two rounds with two keys keep the sequences of two directions from being shifted copies of each other.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

Distribution = Literal["gaussian", "rademacher"]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_QUANTILES_SHA256 = "8babbcaf96568f10165a1eab530c0e5c92d04de96761b6dbb3dadfa94baba37f"
_VARIANCE = 0.9999797186525822
"""Variance of the 65,536 quantiles before scaling; written out, so that the table depends on no order of summation."""

assert sys.byteorder == "little", "lanes of a word are read in little-endian order"


@dataclass(frozen=True)
class Direction:
    """The coordinates that identify one random direction."""

    seed: int
    step: int
    index: int = 0
    """Number of the direction within its step."""

    @property
    def keys(self) -> tuple[int, int]:
        """Two unrelated 64-bit words, the keys of the generator."""
        state = 0
        for word in (self.seed, self.step, self.index):
            state = _mix((state ^ (word & _MASK)) + _GOLDEN & _MASK)
        return state, _mix(state + _GOLDEN & _MASK)


def draw(
    direction: Direction, *, start: int = 0, size: int, distribution: Distribution = "gaussian", device: torch.device | str = "cpu"
) -> Float[Tensor, " P"]:
    """Return values `start` to `start + size` of a direction, fp32."""
    lanes = _LANES[distribution]
    first, last = start // lanes, -(-(start + size) // lanes)
    values = _values(_words(direction, torch.arange(first, last, dtype=torch.int64, device=device)), distribution)
    offset = start - first * lanes
    return values[offset : offset + size]


def draw_ranges(
    direction: Direction, ranges: tuple[tuple[int, int], ...], *, distribution: Distribution = "gaussian", device: torch.device | str = "cpu"
) -> Float[Tensor, " N"]:
    """Return the values of several ranges of indices (start, size), one behind the other: `draw` of each, in one pass."""
    words_W, kept_N = _ranges(ranges, _LANES[distribution], torch.device(device))
    return _values(_words(direction, words_W.clone()), distribution).index_select(0, kept_N)


@lru_cache(maxsize=8)
def _ranges(ranges: tuple[tuple[int, int], ...], lanes: int, device: torch.device) -> tuple[Int64[Tensor, " W"], Int64[Tensor, " N"]]:
    """Return the words that hold the values of some ranges, and the places of these values among theirs."""
    words, kept, held = [], [], 0
    for start, size in ranges:
        first, last = start // lanes, -(-(start + size) // lanes)
        words.append(torch.arange(first, last, dtype=torch.int64, device=device))
        kept.append(torch.arange(size, device=device) + (held + start - first * lanes))
        held += (last - first) * lanes
    return torch.cat(words), torch.cat(kept)


def draw_rows(direction: Direction, rows_U: Int64[Tensor, " U"], *, start: int, width: int, distribution: Distribution = "gaussian") -> Float[Tensor, "U H"]:
    """Return rows of a matrix of `width` columns whose first value has index `start`: draw(start=start + row · width, size=width) of each."""
    lanes = _LANES[distribution]
    first_U = start + rows_U * width
    words = (width + lanes - 2) // lanes + 1  # a row may begin anywhere in a word
    index_UW = (first_U // lanes).unsqueeze(1) + torch.arange(words, device=rows_U.device)
    values_UL = _values(_words(direction, index_UW.view(-1)), distribution).view(len(rows_U), words * lanes)
    return values_UL.gather(1, (first_U % lanes).unsqueeze(1) + torch.arange(width, device=rows_U.device))


def random_bits(direction: Direction, *, start: int, size: int, device: torch.device | str = "cpu") -> Int[Tensor, " P"]:
    """Return 16 random bits (0 … 65,535, int32) for each flat index."""
    first, last = start // 4, -(-(start + size) // 4)
    offset = start - first * 4
    return _sixteen_bits(_words(direction, torch.arange(first, last, dtype=torch.int64, device=device)))[offset : offset + size]


_LANES = {"gaussian": 4, "rademacher": 64}
"""Values per word."""


def _values(words_W: Int64[Tensor, " W"], distribution: Distribution) -> Float[Tensor, " P"]:
    if distribution == "gaussian":
        return quantiles(words_W.device).index_select(0, _sixteen_bits(words_W))
    return _byte_signs(words_W.device).index_select(0, words_W.view(torch.uint8).to(torch.int32)).view(-1)


def _sixteen_bits(words_W: Int64[Tensor, " W"]) -> Int[Tensor, " P"]:
    return words_W.view(torch.int16).to(torch.int32) + 32768


def _words(direction: Direction, index_W: Int64[Tensor, " W"]) -> Int64[Tensor, " W"]:
    """Return words of a direction; `index_W` is overwritten."""
    a, b = direction.keys
    _mix_(index_W.mul_(_signed(_GOLDEN)).add_(_signed(a)))
    return _mix_(index_W.add_(_signed(b)))


def _mix_(x_W: Int64[Tensor, " W"]) -> Int64[Tensor, " W"]:
    """Apply `_mix` to every element, in place; int64 arithmetic wraps as unsigned does, only shifts need a mask."""
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        x_W.bitwise_xor_((x_W >> shift).bitwise_and_((1 << (64 - shift)) - 1)).mul_(_signed(factor))
    return x_W.bitwise_xor_((x_W >> 31).bitwise_and_((1 << 33) - 1))


def _mix(x: int) -> int:
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        x = (x ^ (x >> shift)) * factor & _MASK
    return x ^ (x >> 31)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


@lru_cache(maxsize=8)
def quantiles(device: torch.device) -> Float[Tensor, " 65536"]:
    """Return Φ⁻¹((k + ½)/65,536) for k = 0 … 65,535, scaled to variance 1, fp32. Raises RuntimeError if this machine computes another table."""
    upper = torch.special.ndtri((torch.arange(32768, 65536, dtype=torch.float64) + 0.5) / 65536)
    table = (torch.cat([-upper.flip(0), upper]) / _VARIANCE**0.5).to(torch.float32)
    digest = hashlib.sha256(table.numpy().tobytes()).hexdigest()
    if digest != _QUANTILES_SHA256:
        raise RuntimeError(f"the table of normal quantiles has digest {digest}, expected {_QUANTILES_SHA256}: directions would differ from other machines'")
    return table.to(device)


@lru_cache(maxsize=8)
def _byte_signs(device: torch.device) -> Float[Tensor, "256 8"]:
    """Return the table of the eight signs in each byte, lowest bit first."""
    bits = torch.arange(256).unsqueeze(1) >> torch.arange(8) & 1
    return (2.0 * bits - 1.0).to(torch.float32).to(device)
