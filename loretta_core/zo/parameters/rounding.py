"""Stochastic rounding of fp32 values to bf16: up with the probability of the part that is lost, so that updates arrive whole on average.

Nearest rounding would drop nearly all of MeZO's updates (at lr 1e-7 2 % of the coordinates move). The random bits are a direction of their own, a function of
(seed, step, flat index) alone: a replay rounds the same way.
"""

from __future__ import annotations

import torch
from jaxtyping import BFloat16, Float, Float64
from torch import Tensor

from loretta_core.zo.noise import Direction, random_bits

ROUNDING = -1
"""Index, within its step, of the direction whose bits round the update."""


def rounded(values: Float[Tensor, " P"], direction: Direction, *, start: int) -> BFloat16[Tensor, " P"]:
    """Round fp32 values to bf16, unbiased: random bits are added below the last bit that stays. Values that bf16 can hold stay as they are.

    Args:
        direction: of the random bits.
        start: flat index of the first value.
    """
    bits = values.view(torch.int32) + random_bits(direction, start=start, size=len(values), device=values.device)
    return bits.bitwise_and_(-65536).view(torch.float32).to(torch.bfloat16)


def overlap(wanted: Float[Tensor, " P"], arrived: Float[Tensor, " P"]) -> Float64[Tensor, " 2"]:
    """Return ⟨arrived, wanted⟩ and ⟨wanted, wanted⟩ of an update, on the CPU; the ratio of their sums is the share of it that arrived."""
    wanted = wanted.double()
    return torch.stack([arrived.double() @ wanted, wanted @ wanted]).cpu()
