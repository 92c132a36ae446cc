"""Random directions as a pure function of (seed, step, direction).

A private torch generator is seeded by a 64-bit mix of the key, so a direction can be drawn again at any time and the global generators are never
touched. The stream is reproducible for one device type and torch build.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_MASK = (1 << 64) - 1


def gaussian_direction(size: int, *, seed: int, step: int, direction: int, device: torch.device) -> Float[Tensor, " P"]:
    """z ~ N(0, I) of `size` fp32 values."""
    generator = torch.Generator(device=device).manual_seed(mix(seed, step, direction))
    return torch.randn(size, generator=generator, device=device)


def mix(*words: int) -> int:
    """A 63-bit key from integers: splitmix64 (Steele, Lea and Flood, 2014) over the words, so that near keys give unrelated streams."""
    state = 0
    for word in words:
        state = (state ^ (word & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1
