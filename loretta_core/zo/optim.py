"""ZO-SGD: stochastic gradient descent along random directions, from forward passes only (MeZO, arXiv 2305.17333, algorithm 1).

    θ ← θ − η (1/q Σ_k g_k z_k + λθ)          z_k ~ N(0, I) drawn from (seed, step, k)

No state besides the step count. All q directions of a step are evaluated at the same θ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from loretta_core.zo.estimator import TwoSided, two_sided
from loretta_core.zo.flat import FlatParameters
from loretta_core.zo.noise import gaussian_direction


class ZOSGD(Optimizer):
    """A `torch.optim.Optimizer` whose `step(closure)` needs no gradients.

    Args:
        params: fp32 parameters or parameter groups; a group may have its own lr, zo_eps and weight_decay.
        lr: learning rate η.
        zo_eps: scale ε of the perturbation.
        num_directions: q, directions averaged per step; 2q evaluations of the closure.
        weight_decay: decoupled decay λ.
        seed: seed of the directions.

    A step whose losses are not finite changes nothing and is counted in `skipped_steps`.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        lr: float = 1e-4,
        zo_eps: float = 1e-3,
        num_directions: int = 1,
        weight_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        if lr < 0 or zo_eps <= 0 or num_directions < 1 or weight_decay < 0:
            raise ValueError(f"expected lr ≥ 0, zo_eps > 0, num_directions ≥ 1, weight_decay ≥ 0; got {lr}, {zo_eps}, {num_directions}, {weight_decay}")
        super().__init__(params, {"lr": lr, "zo_eps": zo_eps, "weight_decay": weight_decay, "num_directions": num_directions, "seed": seed, "steps_taken": 0})
        self._flat = FlatParameters([parameter for group in self.param_groups for parameter in group["params"]])
        self.skipped_steps = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor | float]) -> float:  # type: ignore[override]
        """Evaluate `closure` (→ scalar loss, no backward) on both sides of each direction and update θ.

        Returns the mean of all evaluations in fp32: the loss at θ to O(ε²), without a forward of its own.
        """
        directions = self.param_groups[0]["num_directions"]
        update_P = torch.zeros_like(self._flat.theta_P)
        losses = []
        for direction in range(directions):
            z_P = self._draw(direction)
            sides = two_sided(closure, flat=self._flat, shift_P=self._scaled(z_P, "zo_eps"))
            losses.append(sides.loss)
            self._accumulate(update_P, z_P, sides, share=1.0 / directions)
        if all(math.isfinite(loss) for loss in losses):
            self._descend(update_P)
        else:
            self.skipped_steps += 1
        for group in self.param_groups:
            group["steps_taken"] += 1
        return sum(losses) / directions

    def release(self) -> None:
        """End of training: give every parameter a storage of its own again, as saving needs. The optimizer must not step afterwards."""
        self._flat.release()

    def _draw(self, direction: int) -> Tensor:
        first = self.param_groups[0]
        return gaussian_direction(len(self._flat), seed=first["seed"], step=first["steps_taken"], direction=direction, device=self._flat.theta_P.device)

    def _scaled(self, z_P: Tensor, name: str) -> Tensor:
        shift_P = torch.empty_like(z_P)
        for group, part in self._slices():
            torch.mul(z_P[part], group[name], out=shift_P[part])
        return shift_P

    def _accumulate(self, update_P: Tensor, z_P: Tensor, sides: TwoSided, *, share: float) -> None:
        """update += share · η g z. With its own ε a group has its own projected gradient g = half difference / ε."""
        for group, part in self._slices():
            update_P[part].add_(z_P[part], alpha=share * group["lr"] * sides.half_difference / group["zo_eps"])

    def _descend(self, update_P: Tensor) -> None:
        for group, part in self._slices():
            if group["weight_decay"]:
                self._flat.theta_P[part].mul_(1.0 - group["lr"] * group["weight_decay"])
        self._flat.theta_P.sub_(update_P)

    def _slices(self) -> Iterable[tuple[dict[str, Any], slice]]:
        start = 0
        for group in self.param_groups:
            size = sum(parameter.numel() for parameter in group["params"])
            yield group, slice(start, start + size)
            start += size
