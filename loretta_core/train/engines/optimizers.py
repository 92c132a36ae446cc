"""First-order optimizers of trainer configs: torch's own, and bitsandbytes' for 8-bit moments and Lion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from loretta_core.config.trainer import Adafactor, Adam, Adam8bit, FirstOrderTrainer, Lion, Muon, Sgd
from loretta_core.errors import ModelError
from loretta_core.train.engines.mixed_adamw import MixedAdamW


def build_optimizer(parameters: Sequence[nn.Parameter], *, trainer: FirstOrderTrainer, masters: bool) -> Optimizer:
    """Return the optimizer of a trainer config; `masters` (only `adam`) keeps fp32 copies of the weights and fp32 moments.

    Raises ModelError for paged moments without a GPU.
    """
    groups, lr = decay_groups(parameters, trainer.weight_decay), trainer.lr
    match trainer:
        case Adam():
            fused = True if parameters[0].is_cuda else None
            return MixedAdamW(groups, lr=lr) if masters else AdamW(groups, lr=lr, fused=fused)
        case Sgd():
            return SGD(groups, lr=lr, momentum=trainer.momentum)
        case Adafactor():
            return torch.optim.Adafactor(groups, lr=lr)
        case Muon():
            return MuonWithAdamW(groups, lr=lr, momentum=trainer.momentum)
        case Adam8bit() | Lion():
            return _from_bitsandbytes(groups, trainer=trainer)
        case other:
            raise AssertionError(f"{other.type} has no optimizer here")


def _from_bitsandbytes(groups: list[dict[str, Any]], *, trainer: Adam8bit | Lion) -> Optimizer:
    from bitsandbytes import optim  # the extra `quantized`

    if isinstance(trainer, Lion):
        return optim.Lion(groups, lr=trainer.lr, betas=trainer.betas)
    if trainer.paged and not groups[0]["params"][0].is_cuda:
        raise ModelError("trainer.paged = true lets moments move from a GPU to host memory, and this cell computes on the CPU; leave it out")
    return (optim.PagedAdamW8bit if trainer.paged else optim.AdamW8bit)(groups, lr=trainer.lr)


class MuonWithAdamW(Optimizer):
    """Muon for matrices and AdamW for everything else, as one optimizer with one state.

    Args:
        groups: parameter groups, each with its weight_decay.
        lr: learning rate of both; Muon's updates are scaled to the size of AdamW's.
        momentum: of Muon.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], *, lr: float, momentum: float) -> None:
        matrices = [{**group, "params": [parameter for parameter in group["params"] if parameter.ndim == 2]} for group in groups]
        rest = [{**group, "params": [parameter for parameter in group["params"] if parameter.ndim != 2]} for group in groups]
        self._parts: list[Optimizer] = []
        if kept := [group for group in matrices if group["params"]]:
            self._parts.append(torch.optim.Muon(kept, lr=lr, momentum=momentum, adjust_lr_fn="match_rms_adamw"))
        if kept := [group for group in rest if group["params"]]:
            self._parts.append(AdamW(kept, lr=lr))
        super().__init__(list(chain.from_iterable(part.param_groups for part in self._parts)), {"lr": lr})
        self._share()

    def _share(self) -> None:
        """Let the parts work on the groups and the state of the whole."""
        groups = iter(self.param_groups)
        for part in self._parts:
            part.param_groups = [next(groups) for _ in part.param_groups]
            part.state = self.state

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None, "the loss is computed before the step"
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that `state_dict` returned."""
        super().load_state_dict(state_dict)
        self.state = defaultdict(dict, self.state)
        self._share()


def decay_groups(parameters: Sequence[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Return two parameter groups: matrices with weight decay, biases and norm weights (one dimension) without."""
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
