"""AdamW over bf16 parameters with fp32 master copies and moments ("mixed" precision): 2 + 2 + 4 + 8 bytes per parameter.

    master, m, v in fp32      master ← AdamW(master, grad in fp32)      parameter ← round(master)

An update smaller than half a bf16 step is lost when it is added to a bf16 weight (AdamW at lr 1e-6 moves almost nothing); the master copy collects it.
One parameter at a time is updated, so that only one gradient exists in fp32. The slow twin, AdamW in fp32 throughout, is in the tests.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adamw import adamw

_FLOATS = ("master", "exp_avg", "exp_avg_sq")


class MixedAdamW(Optimizer):
    """AdamW (torch's defaults) that keeps its state in fp32 whatever the parameters are.

    Args:
        params: parameters or parameter groups, each with its own lr and weight_decay.
        lr: learning rate.
        betas, eps, weight_decay: as in torch.optim.AdamW.
    """

    def __init__(
        self, params: Iterable[nn.Parameter] | Iterable[dict[str, Any]], *, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        for group in self.param_groups:
            for parameter in group["params"]:
                master = parameter.detach().float().clone()
                self.state[parameter] = {"step": torch.zeros(()), "master": master, **{name: torch.zeros_like(master) for name in _FLOATS[1:]}}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None, "the loss is computed before the step"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        slot, (beta1, beta2) = self.state[parameter], group["betas"]
        assert parameter.grad is not None
        adamw(
            [slot["master"]], [parameter.grad.float()], [slot["exp_avg"]], [slot["exp_avg_sq"]], [], [slot["step"]], foreach=False,
            amsgrad=False, beta1=beta1, beta2=beta2, lr=group["lr"], weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
        )  # fmt: skip
        parameter.copy_(slot["master"])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load state, and keep it in fp32: torch's own method would cast it to the dtype of its parameter."""
        super().load_state_dict(state_dict)
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for index, slot in state_dict["state"].items():
            parameter = parameters[index]
            kept: dict[str, Tensor] = {name: slot[name].to(parameter.device, torch.float32, copy=True) for name in _FLOATS}
            self.state[parameter] = {**self.state[parameter], **kept}
