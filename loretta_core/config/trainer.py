"""The trainers by name: first order (gradients), zeroth order (forward passes only), and baselines that train nothing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from loretta_core.config.trainers.base import DEFAULT_STEPS
from loretta_core.config.trainers.first_order import Adafactor, Adam, Adam8bit, FirstOrderTrainer, Lion, Muon, Sgd
from loretta_core.config.trainers.untrained import InContext, NoTraining
from loretta_core.config.trainers.zeroth_order import AdaZeta, Es, Fzoo, Meazo, ZoAdam, ZoMomentum, ZoSgd, ZoSign

__all__ = [
    "DEFAULT_STEPS",
    "AdaZeta",
    "Adafactor",
    "Adam",
    "Adam8bit",
    "Es",
    "FirstOrderTrainer",
    "Fzoo",
    "InContext",
    "LearningConfig",
    "Lion",
    "Meazo",
    "Muon",
    "NoTraining",
    "Sgd",
    "TrainerConfig",
    "ZoAdam",
    "ZoMomentum",
    "ZoSgd",
    "ZoSign",
    "ZoTrainer",
]

ZoTrainer = ZoSgd | ZoMomentum | ZoAdam | ZoSign | Fzoo | Es | Meazo | AdaZeta
"""The trainers that need forward passes only."""

LearningConfig = Adam | Adam8bit | Lion | Sgd | Adafactor | Muon | ZoSgd | ZoMomentum | ZoAdam | ZoSign | Fzoo | Es | Meazo | AdaZeta
"""The trainers that change weights."""

TrainerConfig = Annotated[
    NoTraining | InContext | Adam | Adam8bit | Lion | Sgd | Adafactor | Muon | ZoSgd | ZoMomentum | ZoAdam | ZoSign | Fzoo | Es | Meazo | AdaZeta,
    Field(discriminator="type"),
]
