"""The seam of directions: how the random direction z of (seed, step, index) is made.

    z = a function of the counter-based noise (`noise.py`), of the shapes that train, and of what earlier steps left

Every way of drawing is one small file beside this one, and one of three kinds:

    Dense                  z is the noise                                         dense.py
    ValueByValue           z = f(noise), with a state of θ's size at most         sparse.py, curvature.py, cone.py
    Factored               z = A Bᵀ for every matrix, dense for the rest          low_rank.py, subspace.py

All have E[z zᵀ] = I, or say what else, so that one ε and one d/ε mean the same. What earlier steps left is a function of the logged numbers of those steps
(`learn`), so that a replay rebuilds it. z is asked for as one vector (flat storage), or as values and rows of one parameter (streamed storage).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from loretta_core.zo.noise import Direction, Distribution, draw, draw_rows

Member = tuple[Float[Tensor, "V M R"], Float[Tensor, "V N R"]] | Float[Tensor, "V P"]
"""One parameter's z of V directions: factors A and B, or values."""


@dataclass(frozen=True)
class Slot:
    """One parameter that trains."""

    index: int
    """Its number among them."""
    start: int
    """Flat index of its first value."""
    parameter: nn.Parameter
    group: Mapping[str, Any]
    """The optimizer's group that it belongs to."""

    @property
    def device(self) -> torch.device:
        """The device that holds it."""
        return self.parameter.device

    def __len__(self) -> int:
        return self.parameter.numel()


class Directions(ABC):
    """A way of drawing directions. Subclasses are dataclasses whose fields are their settings; an optimizer works with a copy of the one it is given."""

    type: ClassVar[str]
    """Its name in a log's header."""
    curvatures: ClassVar[bool] = False
    """Whether it learns from second differences too: the loss at θ is evaluated as well, and every direction logs a second number."""
    keeps_state: ClassVar[bool] = False
    """Whether earlier steps leave something; it is kept in the optimizer's state, in fp32."""

    slots: Sequence[Slot] = ()
    """The parameters that train, in the order of their flat index."""
    distribution: Distribution = "gaussian"
    streamed: bool = False
    """Whether z is made where parameters are read, because there is no room for buffers of their size."""

    def settings(self) -> dict[str, Any]:
        """Return name and settings as JSON values, for a log's header."""
        return {"type": self.type, **asdict(self)}  # type: ignore[call-overload]

    def attach(self, slots: Sequence[Slot], *, distribution: Distribution, streamed: bool, state: MutableMapping[Tensor, Any]) -> None:
        """Take in the parameters that train; called again whenever they, or their tensors, changed.

        Args:
            distribution: of the noise.
            streamed: whether there is no room for buffers of the parameters' size.
            state: the optimizer's; a subclass that keeps one puts it there, by parameter.
        """
        self.slots, self.distribution, self.streamed = slots, distribution, streamed

    def prepare(self, step: int) -> None:  # noqa: B027 - most have nothing to note
        """Note what the directions of a step depend on at the present θ; called before the first of them is drawn, while the parameters read as θ."""

    @abstractmethod
    def values(self, direction: Direction, slot: Slot, *, start: int, size: int) -> Float[Tensor, " N"]:
        """Return values `start` to `start + size` of a parameter's z, fp32, on its device."""

    @abstractmethod
    def rows(self, direction: Direction, slot: Slot, rows_U: Int64[Tensor, " U"]) -> Float[Tensor, "U H"]:
        """Return some rows of a matrix's z, fp32."""

    def whole(self, direction: Direction) -> Float[Tensor, " P"]:
        """Return z of all parameters, which are on one device."""
        return torch.cat([self.values(direction, slot, start=0, size=len(slot)) for slot in self.slots])

    def factors(self, direction: Direction, slot: Slot) -> tuple[Float[Tensor, "M R"], Float[Tensor, "N R"]] | None:
        """Return A and B with z = A Bᵀ if that is how this parameter's z is made; else None."""
        return None

    def members(self, directions: Sequence[Direction]) -> list[Member]:
        """Return z of several directions, for every parameter in order: stacked factors where it has them, else stacked values."""
        found: list[Member] = []
        for slot in self.slots:
            factors = [self.factors(direction, slot) for direction in directions]
            known = [one for one in factors if one is not None]
            if known:
                found.append((torch.stack([left for left, _ in known]), torch.stack([right for _, right in known])))
            else:
                found.append(torch.stack([self.values(direction, slot, start=0, size=len(slot)) for direction in directions]))
        return found

    def learn(self, directions: Sequence[Direction], differences: Sequence[float], curvatures: Sequence[float]) -> None:  # noqa: B027 - most learn nothing
        """Take in what a step has found: d of each direction and, with `curvatures`, L(θ + εz) + L(θ − εz) − 2 L(θ). Called after the update."""

    def noise(self, direction: Direction, slot: Slot, *, start: int, size: int) -> Float[Tensor, " N"]:
        """Return independent values of a parameter, a function of (seed, step, index, flat index) alone."""
        return draw(direction, start=slot.start + start, size=size, distribution=self.distribution, device=slot.device)

    def noise_rows(self, direction: Direction, slot: Slot, rows_U: Int64[Tensor, " U"]) -> Float[Tensor, "U H"]:
        """Return independent values of some rows of a matrix."""
        return draw_rows(direction, rows_U, start=slot.start, width=slot.parameter.shape[1], distribution=self.distribution)


def slots_of(groups: Sequence[Mapping[str, Any]]) -> list[Slot]:
    """Return the parameters of an optimizer's groups that train."""
    found, start = [], 0
    for group in groups:
        for parameter in group["params"]:
            if parameter.requires_grad:
                found.append(Slot(len(found), start, parameter, group))
                start += parameter.numel()
    return found
