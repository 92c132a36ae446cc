"""Backprop: back-propagation behind the interface of the zeroth-order optimizers, as the baseline for their memory and accuracy."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from loretta_core.zo.guards.closures import Closure


class Backprop(Optimizer):
    """Wraps any torch optimizer to step on exact gradients: Backprop(torch.optim.AdamW(params, lr=1e-4)).

    A step whose loss is not finite changes nothing and is counted.

    Args:
        inner: the optimizer; its parameter groups and state are shared.
    """

    def __init__(self, inner: Optimizer) -> None:
        super().__init__(inner.param_groups, inner.defaults)
        self._inner = inner
        self.param_groups, self.state = inner.param_groups, inner.state
        self.evaluations = self.skipped_steps = self.steps_taken = 0

    def step(self, closure: Closure | None = None) -> float:  # type: ignore[override]
        """Differentiate `closure` (→ scalar loss; it must not switch gradients off) and step; returns the loss."""
        if closure is None:
            raise ValueError("step() was called without a closure: it computes the loss itself, as zeroth-order steps do")
        self._inner.zero_grad(set_to_none=True)
        with torch.enable_grad():
            loss = closure()
        self.evaluations += 1
        self.steps_taken += 1
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            raise ValueError("Backprop needs a loss that depends differentiably on the parameters; got one without a gradient")
        if not math.isfinite(loss.item()):
            self.skipped_steps += 1
            return loss.item()
        loss.backward()
        self._inner.step()
        return loss.item()

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimizer's state."""
        return self._inner.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that `state_dict` returned."""
        self._inner.load_state_dict(state_dict)
        self.param_groups, self.state = self._inner.param_groups, self._inner.state
