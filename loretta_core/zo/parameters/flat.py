"""Storage of trainable parameters in one fp32 buffer, of which they are views.

    θ_P    the parameters' values: `parameter.data` are windows on it, in order
    scratch_P   a second buffer; inside `shifted()` the parameters read from it instead

A window shares memory with the buffer and has a torch storage of its own size: saving a part of the model writes that part, not the buffer.
Perturbations are written to the scratch buffer only. θ is therefore bitwise the same after any evaluation, also when the loss raises: in-place
`θ += εz; θ -= 2εz; θ += εz` drifts by rounding (MeZO in bf16: 0.78 ε after 100 steps) and leaves θ ± εz behind on an exception.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from loretta_core.zo.parameters.placement import NOTHING_TRAINS, SetShift, Shift, digest


class FlatParameters:
    """Packs `parameters` into one buffer. They must be distinct, all fp32 or all fp64, and on one device (ValueError otherwise)."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        if not self._parameters:
            raise ValueError(NOTHING_TRAINS)
        kinds = {(parameter.dtype, parameter.device) for parameter in self._parameters}
        if len(kinds) > 1 or self._parameters[0].dtype not in (torch.float32, torch.float64):
            raise ValueError(f"zeroth-order parameters in one buffer must be fp32 on one device, got {sorted(map(str, kinds))}; ZOSGD can stream others")
        self.theta_P = torch.cat([parameter.detach().reshape(-1) for parameter in self._parameters])
        self._scratch_P = torch.empty_like(self.theta_P)
        self._theta_views, self._scratch_views = self.split(self.theta_P), self.split(self._scratch_P)  # made once: hundreds of views cost milliseconds
        self._theta_views = [torch.from_dlpack(view) for view in self._theta_views]  # the same memory, in a storage of the view's size
        self._point_at(self._theta_views)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters, in the order of the buffer."""
        return list(self._parameters)

    def __len__(self) -> int:
        return self.theta_P.numel()

    @property
    def devices(self) -> list[torch.device]:
        """The device of the buffer."""
        return [self.theta_P.device]

    def split(self, values: Tensor) -> list[Tensor]:
        """Split a vector (P) into views with the parameters' shapes, or a stack (V, P) into views (V, …)."""
        pieces = values.split([parameter.numel() for parameter in self._parameters], dim=-1)
        return [_shaped(piece, parameter.shape) for parameter, piece in zip(self._parameters, pieces, strict=True)]

    @contextmanager
    def shifted(self) -> Iterator[Float[Tensor, " P"]]:
        """Make the parameters views of the yielded buffer within the context; the caller writes its content, and θ is untouched."""
        try:
            self._point_at(self._scratch_views)
            yield self._scratch_P
        finally:
            self._point_at(self._theta_views)

    @contextmanager
    def evaluating(self) -> Iterator[SetShift]:
        """Yield the function that sets the shift of the parameters, a vector (P); see Storage."""

        def set_shift(sign: int, shift: Shift) -> None:
            assert isinstance(shift, Tensor), "flat parameters are shifted by vectors"
            torch.add(self.theta_P, shift, alpha=sign, out=buffer_P)

        with self.shifted() as buffer_P:
            yield set_shift

    def sha256(self) -> str:
        """Return the digest of θ."""
        return digest([self.theta_P])

    def set_gradients(self, gradient_P: Float[Tensor, " P"]) -> None:
        """Make every `parameter.grad` a view of the buffer."""
        for parameter, piece in zip(self._parameters, self.split(gradient_P), strict=True):
            parameter.grad = piece

    def release(self) -> None:
        """Give every parameter memory of its own again, so that none keeps the buffer alive; one whose `data` was replaced keeps what it was given."""
        for parameter, view in zip(self._parameters, self._theta_views, strict=True):
            if parameter.data_ptr() == view.data_ptr():
                parameter.data = parameter.data.clone()

    def _point_at(self, views: Sequence[Tensor]) -> None:
        for parameter, piece in zip(self._parameters, views, strict=True):
            parameter.data = piece


def _shaped(piece: Tensor, shape: torch.Size) -> Tensor:
    """Return the last dimension of `piece` in a parameter's shape; a scalar's is dropped."""
    if len(shape) == 1:
        return piece
    return piece.unflatten(-1, shape) if shape else piece.squeeze(-1)
