"""Bytes of what first-order optimizers keep of every number that trains. No torch.

adam   two moments        adam_8bit   two bytes and scales        lion, sgd   one        muon   one or two        adafactor   rows and columns: next to none
"""

from __future__ import annotations

from loretta_core.config.trainer import Adafactor, Adam8bit, Lion, Sgd, TrainerConfig
from loretta_core.methods.formulas import FP32

_SCALED = 256
"""Numbers of a block of bitsandbytes' 8-bit state, which share an fp32 scale."""


def moment_bytes(trainer: TrainerConfig, trainable: int, *, width: int) -> int:
    """Return the bytes of an optimizer's state; `width` are those of a moment of AdamW. Muon is counted as AdamW, which trains what is no matrix."""
    match trainer:
        case Adam8bit():
            return 2 * trainable + 2 * FP32 * (trainable // _SCALED)
        case Lion():
            return FP32 * trainable
        case Sgd():
            return width * trainable if trainer.momentum else 0
        case Adafactor():
            return 0
        case _:
            return 2 * width * trainable
