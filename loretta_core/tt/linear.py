"""A linear layer whose weight is a tensor train: y = W x + b with W never stored.

    TTLinear(768, 64, rank=5)      764 parameters instead of 49,216

The cores are ordered fp32 parameters of shape (r, k, r'); a low-precision caller casts its activations. Counts follow from `TTShape.parameter_count`.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from loretta_core.tt import init, ops
from loretta_core.tt.cache import FactorCache
from loretta_core.tt.shapes import Shape, tt_shape
from loretta_core.tt.svd import tt_svd


class TTLinear(nn.Module):
    """A linear layer (…, in_features) → (…, out_features) with trainable fp32 cores.

    Args:
        rank, shape: as of `tt_shape`, which raises MethodError for settings that do not fit.
        zero_init: start as the zero map (bias included) instead of at random.
        generator: draws the starting values; None takes torch's global one.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        rank: int,
        shape: Shape = "auto",
        bias: bool = True,
        zero_init: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.shape = tt_shape(in_features, out_features, rank=rank, shape=shape)
        self.zero_init = zero_init
        self._cache = FactorCache()
        self.cores = nn.ParameterList(nn.Parameter(torch.empty(size, dtype=torch.float32)) for size in self.shape.core_sizes)
        self.register_parameter("bias", nn.Parameter(torch.empty(out_features, dtype=torch.float32)) if bias else None)
        self._core_names = tuple(map(str, range(len(self.cores))))
        self.reset_parameters(generator=generator)

    def reset_parameters(self, *, generator: Generator | None = None) -> None:
        """Draw the starting values again."""
        fill = init.zero_last_ if self.zero_init else init.normal_
        fill(list(self.cores), shape=self.shape, generator=generator)
        if self.bias is not None:
            bound = 0.0 if self.zero_init else self.shape.out_features**-0.5
            nn.init.uniform_(self.bias, -bound, bound, generator=generator)

    @torch.no_grad()
    def set_dense_(self, weight_OI: Float[Tensor, "O I"]) -> float:
        """Set the cores to the nearest train that TT-SVD finds for `weight_OI`; return the bound on the error, in the Frobenius norm. The bias stays."""
        found = tt_svd(weight_OI, shape=self.shape)
        for core, value in zip(self.cores, found.cores, strict=True):
            core.copy_(value)
        return found.error_bound

    def forward(self, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch O"]:
        # Straight from the tables of nn.Module: attributes and `list(self.cores)` cost as much as the product of one token.
        table: Any = self._modules["cores"]
        cores = [table._parameters[name] for name in self._core_names]
        return ops.apply_factors(x, self._cache.factors(cores, shape=self.shape, training=self.training), bias=self._parameters["bias"])

    def to_dense(self) -> Float[Tensor, "O I"]:
        """Return the weight (out, in), the layout of `nn.Linear.weight`, in the dtype of the cores."""
        return ops.to_dense(list(self.cores), shape=self.shape)

    def extra_repr(self) -> str:
        shape = self.shape
        padding = f", padding={shape.padding_overhead:.1%}" if shape.padding_overhead else ""
        order = "contracted" if shape.contracts else "rebuilt"
        return f"in_features={shape.in_features}, out_features={shape.out_features}, modes={shape.modes}, ranks={shape.ranks}, {order}{padding}"
