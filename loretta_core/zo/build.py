"""Builds the zeroth-order optimizer of a trainer config."""

from __future__ import annotations

from typing import Any

import torch

from loretta_core.config.trainer import AdaZeta, Es, Fzoo, Meazo, ZoAdam, ZoMomentum, ZoSgd, ZoSign, ZoTrainer
from loretta_core.zo.optim import ZOSGD, ZerothOrder


def build_optimizer(trainer: ZoTrainer, *, groups: list[dict[str, Any]], seed: int, steps_per_epoch: int) -> ZOSGD | ZerothOrder:
    """Return the optimizer over parameter groups, which carry their own weight decay; `seed` seeds the directions."""
    shared: dict[str, Any] = {
        "zo_eps": trainer.zo_eps,
        "num_directions": trainer.num_directions,
        "seed": seed,
        "estimator": trainer.estimator,
        "distribution": trainer.distribution,
        "clip": trainer.clip,
        "directions_at": lambda step: trainer.directions_at(step, steps_per_epoch=steps_per_epoch),
    }
    match trainer:
        case ZoSgd() | AdaZeta():
            return ZOSGD(groups, lr=trainer.lr, **shared)
        case ZoSign():
            return ZOSGD(groups, lr=trainer.lr, scaling="sign", **shared)
        case Fzoo() | Es():
            return ZOSGD(groups, lr=trainer.lr, scaling="std", **shared)
        case Meazo():
            return ZOSGD(groups, lr=trainer.lr, scaling="rms", **shared)
        case ZoMomentum():
            return ZerothOrder(torch.optim.SGD(groups, lr=trainer.lr, momentum=trainer.momentum), **shared)
        case ZoAdam():
            return ZerothOrder(torch.optim.AdamW(groups, lr=trainer.lr, betas=trainer.betas), **shared)


def evaluations(trainer: ZoTrainer, *, steps: int, steps_per_epoch: int) -> int:
    """Return the number of loss evaluations of a run."""
    return sum(trainer.evaluations_of(trainer.directions_at(step, steps_per_epoch=steps_per_epoch)) for step in range(steps))
