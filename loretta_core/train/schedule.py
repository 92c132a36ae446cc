"""The learning rate as a pure function of the step, so that a resumed run continues exactly.

warm-up:   η (t + 1) / W   for t < W = round(warmup_ratio · T)
linear:    η (T − t) / (T − W)        constant: η        the others: transformers' schedules of the T − W steps that are left
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch.optim import SGD, Optimizer
from transformers import optimization

from loretta_core.config.trainer import LearningConfig

INVERSE_SQRT_STEPS = 10_000
"""Steps after which the inverse square root has fallen to 1/√2 where there is no warm-up (transformers' default); else as many as the warm-up has."""


def learning_rate(step: int, *, trainer: LearningConfig, total_steps: int) -> float:
    """Return the learning rate of step `step` (from 0) of `total_steps`."""
    warmup = round(trainer.warmup_ratio * total_steps)
    if step < warmup:
        return trainer.lr * (step + 1) / warmup
    if trainer.schedule == "constant":
        return trainer.lr
    if trainer.schedule == "linear":
        return trainer.lr * (total_steps - step) / max(1, total_steps - warmup)
    return trainer.lr * _factor(trainer.schedule, total_steps - warmup, trainer.schedule_cycles, warmup or INVERSE_SQRT_STEPS)(step - warmup)


@lru_cache(maxsize=64)
def _factor(schedule: str, steps: int, cycles: int, timescale: int) -> Callable[[int], float]:
    """Return step → factor on the learning rate, from the schedulers of transformers."""
    nobody = SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)  # they ask for an optimizer, and their rate is a function of the step alone
    match schedule:
        case "cosine":
            scheduler = optimization.get_cosine_schedule_with_warmup(nobody, 0, steps)
        case "cosine_with_restarts":
            scheduler = optimization.get_cosine_with_hard_restarts_schedule_with_warmup(nobody, 0, steps, num_cycles=cycles)
        case "polynomial":
            scheduler = optimization.get_polynomial_decay_schedule_with_warmup(nobody, 0, steps, lr_end=0.0, power=2.0)
        case _:
            scheduler = optimization.get_inverse_sqrt_schedule(nobody, 0, timescale=timescale)
    return scheduler.lr_lambdas[0]


def lr_setter(optimizer: Optimizer, *, trainer: LearningConfig, total_steps: int) -> Callable[[int], float]:
    """Return a function that sets and returns the learning rate of a step."""

    def set_lr(step: int) -> float:
        lr = learning_rate(step, trainer=trainer, total_steps=total_steps)
        for group in optimizer.param_groups:
            group["lr"] = lr
        return lr

    return set_lr
