"""Starting values of tensor-train cores.

`normal_`: the authors' choice, G_i ~ N(0, 1) / sqrt(r_i) * s^(1/d) with s = sqrt(1 / (in + out)) and r_i the right rank, so that every entry of the
matrix has variance 1 / (in + out).

`zero_last_`: the same, with the last core zero: the matrix is exactly zero, and every core has a gradient from the second step on (LoRA's B = 0 in
tensor-train form). The paper's own recipe, to subtract the mean of the reconstructed matrix, removes nothing: the mean is already zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from loretta_core.tt.shapes import TTShape


@torch.no_grad()
def normal_(cores: Sequence[Tensor], *, shape: TTShape, generator: Generator | None = None) -> None:
    """Fill the cores in place. Without a generator, torch's global one is drawn from."""
    scale = (1.0 / (shape.in_features + shape.out_features)) ** (0.5 / len(cores))
    for core in cores:
        core.normal_(generator=generator).mul_(scale / core.shape[2] ** 0.5)


@torch.no_grad()
def zero_last_(cores: Sequence[Tensor], *, shape: TTShape, generator: Generator | None = None) -> None:
    """Fill the cores in place so that the matrix is exactly zero."""
    normal_(cores, shape=shape, generator=generator)
    cores[-1].zero_()
