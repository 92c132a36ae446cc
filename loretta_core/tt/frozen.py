"""A tensor train that never trains: the cores are buffers, saved with the model but seen by no optimizer."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from loretta_core.tt import ops
from loretta_core.tt.linear import TTLinear


class FrozenTT(nn.Module):
    """A copy of the present cores of `layer`, without its bias; called as the layer was, it gives bitwise the same product."""

    def __init__(self, layer: TTLinear) -> None:
        super().__init__()
        self.shape = layer.shape
        for place, core in enumerate(layer.cores):
            self.register_buffer(str(place), core.detach().clone())

    def forward(self, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch O"]:
        return ops.apply(x, self._cores(), shape=self.shape)

    def to_dense(self) -> Float[Tensor, "O I"]:
        """Return the matrix (out, in), the layout of `nn.Linear.weight`, in the dtype of the cores."""
        return ops.to_dense(self._cores(), shape=self.shape)

    def _cores(self) -> list[Tensor]:
        return [self.get_buffer(str(place)) for place in range(len(self.shape.modes))]
