"""Builds the zeroth-order optimizer of a trainer config."""

from __future__ import annotations

from typing import Any

import torch

from loretta_core.config.trainers.zeroth_order import (
    AdaZeta,
    Conmezo,
    Eggroll,
    Es,
    Fzoo,
    Hizoo,
    Lozo,
    Meazo,
    Subzero,
    ZerothOrderConfig,
    ZoAdam,
    ZoMomentum,
    ZoMuon,
    ZoSgd,
    ZoSign,
    ZoSparse,
)
from loretta_core.zo.directions.base import Directions
from loretta_core.zo.directions.cone import Cone
from loretta_core.zo.directions.curvature import Curvature
from loretta_core.zo.directions.low_rank import LowRank
from loretta_core.zo.directions.projected import Projected
from loretta_core.zo.directions.sparse import Sparse
from loretta_core.zo.directions.subspace import Subspace
from loretta_core.zo.optim import ZOSGD, ZerothOrder


def build_optimizer(trainer: ZerothOrderConfig, *, groups: list[dict[str, Any]], seed: int, steps_per_epoch: int) -> ZOSGD | ZerothOrder:
    """Return the optimizer over parameter groups, which carry their own weight decay; `seed` seeds the directions."""
    shared: dict[str, Any] = {
        "zo_eps": trainer.zo_eps,
        "num_directions": trainer.num_directions,
        "seed": seed,
        "estimator": trainer.estimator,
        "distribution": trainer.distribution,
        "clip": trainer.clip,
        "directions_at": lambda step: trainer.directions_at(step, steps_per_epoch=steps_per_epoch),
        "directions": directions_of(trainer),
    }
    match trainer:
        case ZoSgd() | AdaZeta() | Lozo() | Subzero() | ZoSparse() | Hizoo() | Conmezo():
            return ZOSGD(groups, lr=trainer.lr, **shared)
        case ZoSign():
            return ZOSGD(groups, lr=trainer.lr, scaling="sign", **shared)
        case Fzoo() | Es() | Eggroll():
            return ZOSGD(groups, lr=trainer.lr, scaling="std", **shared)
        case Meazo():
            return ZOSGD(groups, lr=trainer.lr, scaling="rms", **shared)
        case ZoMuon():
            return ZOSGD(groups, lr=trainer.lr, update="orthogonal", **shared)
        case ZoMomentum():
            return ZerothOrder(torch.optim.SGD(groups, lr=trainer.lr, momentum=trainer.momentum), **shared)
        case ZoAdam():
            return ZerothOrder(torch.optim.AdamW(groups, lr=trainer.lr, betas=trainer.betas), **shared)


def directions_of(trainer: ZerothOrderConfig) -> Directions | None:
    """Return how a trainer draws its directions; None for dense ones."""
    match trainer:
        case Eggroll():
            return LowRank(rank=trainer.rank, refresh_every=1)
        case Lozo():
            return LowRank(rank=trainer.rank, refresh_every=trainer.refresh_every)
        case Subzero():
            return Subspace(rank=trainer.rank, refresh_every=trainer.refresh_every)
        case ZoMuon():
            return Projected(rank=trainer.rank, refresh_every=trainer.refresh_every)
        case ZoSparse():
            return Sparse(sparsity=trainer.sparsity, mask=trainer.mask)
        case Hizoo():
            return Curvature(smoothing=trainer.smoothing)
        case Conmezo():
            return Cone(angle=trainer.angle, momentum=trainer.momentum)
        case _:
            return None


def evaluations(trainer: ZerothOrderConfig, *, steps: int, steps_per_epoch: int) -> int:
    """Return the number of loss evaluations of a run."""
    return sum(trainer.losses(trainer.directions_at(step, steps_per_epoch=steps_per_epoch)) for step in range(steps))
