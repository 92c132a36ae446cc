"""The learning rate as a pure function of the step, so that a resumed run continues exactly.

warm-up:  η (t + 1) / W   for t < W = round(warmup_ratio · T)
linear:   η (T − t) / (T − W)        constant: η
"""

from __future__ import annotations

from collections.abc import Callable

from torch.optim import Optimizer

from loretta_core.config.trainer import LearningConfig


def learning_rate(step: int, *, trainer: LearningConfig, total_steps: int) -> float:
    """Return the learning rate of step `step` (from 0) of `total_steps`."""
    warmup = round(trainer.warmup_ratio * total_steps)
    if step < warmup:
        return trainer.lr * (step + 1) / warmup
    if trainer.schedule == "constant":
        return trainer.lr
    return trainer.lr * (total_steps - step) / max(1, total_steps - warmup)


def lr_setter(optimizer: Optimizer, *, trainer: LearningConfig, total_steps: int) -> Callable[[int], float]:
    """Return a function that sets and returns the learning rate of a step."""

    def set_lr(step: int) -> float:
        lr = learning_rate(step, trainer=trainer, total_steps=total_steps)
        for group in optimizer.param_groups:
            group["lr"] = lr
        return lr

    return set_lr
