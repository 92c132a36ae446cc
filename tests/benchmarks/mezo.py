"""MeZO's step as its authors wrote it (princeton-nlp/MeZO, large_models/trainer.py, zo_step and zo_update), on any closure.

Four passes over the parameters, each seeding the global generator, drawing z tensor by tensor, and binding a new tensor to `param.data`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn


class MeZO:
    """lr, eps and weight decay as in its trainer; constant learning rate."""

    def __init__(self, parameters: list[nn.Parameter], *, lr: float, eps: float) -> None:
        self.parameters = parameters
        self.lr, self.eps, self.weight_decay = lr, eps, 0.0
        self._random = np.random.default_rng(0)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> float:
        seed = int(self._random.integers(1_000_000_000))
        self.perturb(seed, 1)
        loss1 = closure()
        self.perturb(seed, -2)
        loss2 = closure()
        projected_grad = ((loss1 - loss2) / (2 * self.eps)).item()
        self.perturb(seed, 1)
        self._update(seed, projected_grad)
        return loss1.item()

    def perturb(self, seed: int, scaling_factor: float) -> None:
        torch.manual_seed(seed)
        for param in self.parameters:
            z = torch.normal(mean=0, std=1, size=param.data.size(), device=param.data.device, dtype=param.data.dtype)
            param.data = param.data + scaling_factor * z * self.eps

    def perturb_with(self, noise: list[Tensor], scaling_factor: float) -> None:
        """Perturb the parameters with noise that was drawn before."""
        for param, z in zip(self.parameters, noise, strict=True):
            param.data = param.data + scaling_factor * z * self.eps

    def _update(self, seed: int, projected_grad: float) -> None:
        torch.manual_seed(seed)
        for param in self.parameters:
            z = torch.normal(mean=0, std=1, size=param.data.size(), device=param.data.device, dtype=param.data.dtype)
            param.data = param.data - self.lr * (projected_grad * z + self.weight_decay * param.data)
