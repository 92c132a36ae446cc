"""First-order trainers: gradients by back-propagation, one optimizer each."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from loretta_core.config.trainers.base import Schedule, Trainer


class FirstOrderTrainer(Trainer):
    """Settings that all trainers share that back-propagate."""

    zeroth_order: ClassVar[bool] = False
    needs_bitsandbytes: ClassVar[bool] = False
    """True if the optimizer is one of the extra `quantized`."""

    max_grad_norm: float | None = Field(1.0, gt=0)
    """Gradients are clipped to this norm; None switches clipping off."""
    schedule: Schedule = "linear"
    """Learning rate over the run, after the warm-up: falling linearly to 0, constant, along a cosine (once or in `schedule_cycles` restarts), along a
    polynomial of degree 2, or with the inverse square root of the step."""


class Adam(FirstOrderTrainer):
    """AdamW on back-propagated gradients (torch.optim.AdamW)."""

    type: Literal["adam"]
    lr: float = Field(5e-4, gt=0)
    """Learning rate (paper: 1e-4 to 5e-4 for adapters, 1e-6 for full fine-tuning of DeBERTa)."""


class Adam8bit(FirstOrderTrainer):
    """AdamW whose moments are held in 8 bit, in blocks (arXiv 2110.02861; bitsandbytes). Parameters of fewer than 4,096 numbers keep fp32 moments."""

    needs_bitsandbytes: ClassVar[bool] = True

    type: Literal["adam_8bit"]
    lr: float = Field(5e-4, gt=0)
    """Learning rate, as for `adam`."""
    paged: bool = False
    """Let the moments move to host memory when the GPU is full (QLoRA, arXiv 2305.14314); without a GPU there is nothing to page."""


class Lion(FirstOrderTrainer):
    """The sign of a mixture of momentum and gradient (Lion, arXiv 2302.06675; bitsandbytes). One number of state per trainable parameter."""

    needs_bitsandbytes: ClassVar[bool] = True
    lr_factor: ClassVar[float] = 0.2

    type: Literal["lion"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate: what a coordinate moves in a step (paper: a third to a tenth of AdamW's)."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Share of the momentum in a step, and decay of the momentum (paper's)."""


class Sgd(FirstOrderTrainer):
    """SGD with momentum (torch.optim.SGD). One number of state per trainable parameter, none with momentum 0."""

    lr_factor: ClassVar[float] = 100.0

    type: Literal["sgd"]
    lr: float = Field(5e-2, gt=0)
    """Learning rate; gradients are not normalised, so it has to be larger than Adam's."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Share of the last update that the next one keeps."""


class Adafactor(FirstOrderTrainer):
    """Second moments of rows and columns instead of numbers, no momentum (arXiv 1804.04235; torch.optim.Adafactor)."""

    lr_factor: ClassVar[float] = 10.0

    type: Literal["adafactor"]
    lr: float = Field(1e-2, gt=0)
    """Learning rate, relative to the root mean square of a parameter (paper: 1e-2)."""


class Muon(FirstOrderTrainer):
    """Orthogonalised momentum for matrices (arXiv 2502.16982; torch.optim.Muon), AdamW for the rest. One number of state per number of a matrix.

    A tensor-train core has three dimensions and is no matrix to it: AdamW trains it, as it trains biases and norms.
    """

    type: Literal["muon"]
    lr: float = Field(5e-4, gt=0)
    """Learning rate of both; updates of matrices are scaled to the size of AdamW's, so that its rates carry over (arXiv 2502.16982, section 2.2)."""
    momentum: float = Field(0.95, ge=0, lt=1)
    """Decay of the momentum (Muon's default)."""
