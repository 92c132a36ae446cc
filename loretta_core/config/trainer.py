"""The trainers by name: first order (gradients), zeroth order (forward passes only), and baselines that train nothing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from loretta_core.config.trainers.base import DEFAULT_STEPS
from loretta_core.config.trainers.first_order import Adafactor, Adam, Adam8bit, FirstOrderTrainer, Lion, Muon, Sgd
from loretta_core.config.trainers.untrained import InContext, NoTraining
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
    ZoAdam,
    ZoMomentum,
    ZoMuon,
    ZoSgd,
    ZoSign,
    ZoSparse,
)

__all__ = [
    "DEFAULT_STEPS",
    "AdaZeta",
    "Adafactor",
    "Adam",
    "Adam8bit",
    "Conmezo",
    "Eggroll",
    "Es",
    "FirstOrderTrainer",
    "Fzoo",
    "Hizoo",
    "InContext",
    "LearningConfig",
    "Lion",
    "Lozo",
    "Meazo",
    "Muon",
    "NoTraining",
    "Sgd",
    "Subzero",
    "TrainerConfig",
    "ZerothOrderConfig",
    "ZoAdam",
    "ZoMomentum",
    "ZoMuon",
    "ZoSgd",
    "ZoSign",
    "ZoSparse",
]

ZerothOrderConfig = ZoSgd | ZoMomentum | ZoAdam | ZoSign | Fzoo | Es | Eggroll | Meazo | AdaZeta | Lozo | Subzero | ZoSparse | Hizoo | Conmezo | ZoMuon
"""The trainers that need forward passes only."""

LearningConfig = Adam | Adam8bit | Lion | Sgd | Adafactor | Muon | ZerothOrderConfig
"""The trainers that change weights."""

TrainerConfig = Annotated[NoTraining | InContext | Adam | Adam8bit | Lion | Sgd | Adafactor | Muon | ZerothOrderConfig, Field(discriminator="type")]
