"""Protocol of the storage of trainable parameters, which evaluates them at θ + shift: in a second buffer (`flat.py`) or per operation (`streaming.py`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from loretta_core.zo.directions.base import Directions
from loretta_core.zo.noise import Direction

NOTHING_TRAINS = "no trainable parameter was given: zeroth order perturbs and trains those that require a gradient (requires_grad), and no others"


@dataclass(frozen=True)
class LazyShift:
    """The shift ε z of a direction, drawn when it is needed."""

    direction: Direction
    draws: Directions
    """How z is drawn; it knows the parameters."""
    scales: tuple[float, ...]
    """ε of each parameter."""

    def values(self, slot: int, *, start: int, size: int) -> Float[Tensor, " N"]:
        """Return values `start` to `start + size` of a parameter's z."""
        return self.draws.values(self.direction, self.draws.slots[slot], start=start, size=size)

    def rows(self, slot: int, rows_U: Int64[Tensor, " U"]) -> Float[Tensor, "U H"]:
        """Return some rows of a matrix's z."""
        return self.draws.rows(self.direction, self.draws.slots[slot], rows_U)


Shift = Tensor | LazyShift
"""The vector that is added to θ: a tensor (P) for flat parameters, a LazyShift for streamed ones."""

SetShift = Callable[[int, Shift], None]
"""(sign, shift) → the parameters read as θ + sign · shift from now on."""


@runtime_checkable
class Storage(Protocol):
    """Trainable parameters, in the order of their flat index."""

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The trainable parameters, in the order of their flat index."""
        ...

    def __len__(self) -> int:
        """Return the number of values in all parameters."""
        ...

    @property
    def devices(self) -> list[torch.device]:
        """The devices that hold parameters."""
        ...

    def evaluating(self) -> AbstractContextManager[SetShift]:
        """Return a context in which the parameters read as θ plus the shift last set; θ is bitwise untouched, also on an exception."""
        ...

    def sha256(self) -> str:
        """Return the digest of θ."""
        ...

    def release(self) -> None:
        """Make the parameters plain ones again, each with storage of its own."""
        ...


def digest(tensors: Iterable[Tensor]) -> str:
    """Return the sha256 over the bytes of all values, in order; the split into tensors does not matter."""
    state = hashlib.sha256()
    for tensor in tensors:
        state.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()
