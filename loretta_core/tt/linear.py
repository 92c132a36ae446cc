"""A linear layer whose weight is a tensor train: y = W x + b with W never stored.

    TTLinear(768, 64, rank=5)      764 parameters instead of 49,216

The cores are ordered fp32 parameters of shape (r, k, r'); a low-precision caller casts its activations. Counts follow from `TTShape.parameter_count`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from loretta_core.tt import init, ops
from loretta_core.tt.shapes import tt_shape


class TTLinear(nn.Module):
    """Raises MethodError where `tt_shape` does. `zero_init`: start as the zero map (bias included) instead of at random."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        rank: int,
        shape: str | Sequence[int] = "auto",
        bias: bool = True,
        zero_init: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.shape = tt_shape(in_features, out_features, rank=rank, shape=shape)
        self.zero_init = zero_init
        self.cores = nn.ParameterList(nn.Parameter(torch.empty(size, dtype=torch.float32)) for size in self.shape.core_sizes)
        self.bias = nn.Parameter(torch.empty(out_features, dtype=torch.float32)) if bias else None
        self.reset_parameters(generator=generator)

    def reset_parameters(self, *, generator: Generator | None = None) -> None:
        """Draw the starting values again."""
        fill = init.zero_last_ if self.zero_init else init.normal_
        fill(list(self.cores), shape=self.shape, generator=generator)
        if self.bias is not None:
            bound = 0.0 if self.zero_init else self.shape.out_features**-0.5
            nn.init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch O"]:
        return ops.apply(x, list(self.cores), shape=self.shape, bias=self.bias)

    def to_dense(self) -> Float[Tensor, "O I"]:
        """The weight, in the layout of `nn.Linear.weight`."""
        return ops.to_dense(list(self.cores), shape=self.shape)

    def extra_repr(self) -> str:
        ranks = ", ".join(map(str, self.shape.ranks))
        return f"in_features={self.shape.in_features}, out_features={self.shape.out_features}, modes={self.shape.modes}, ranks=({ranks})"
