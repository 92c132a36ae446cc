"""Where parameters live while they are evaluated at θ + s: a buffer beside them (`flat.py`), or nowhere, one operation at a time (`streaming.py`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from loretta_core.zo.noise import Direction, Distribution


@dataclass(frozen=True)
class Drawn:
    """The shift ε z of a direction, not yet drawn."""

    direction: Direction
    distribution: Distribution
    scales: tuple[float, ...]
    """ε of each parameter."""


Shift = Tensor | Drawn
"""What is added to θ: a vector (P) for flat parameters, a recipe for streamed ones."""

Move = Callable[[int, Shift], None]
"""(sign, shift) → the parameters read as θ + sign · shift from now on."""


@runtime_checkable
class Storage(Protocol):
    """Trainable parameters, in the order of their flat index."""

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters."""
        ...

    def __len__(self) -> int:
        """Numbers in them."""
        ...

    def evaluating(self) -> AbstractContextManager[Move]:
        """Within the context the parameters read as the last `Move` said; θ is bitwise untouched, whatever happens inside."""
        ...

    def sha256(self) -> str:
        """Digest of θ."""
        ...

    def release(self) -> None:
        """Leave plain parameters behind, each with a storage of its own."""
        ...


def digest(tensors: Iterable[Tensor]) -> str:
    """sha256 over the bytes of all values, in order; a split into tensors does not matter."""
    state = hashlib.sha256()
    for tensor in tensors:
        state.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()
