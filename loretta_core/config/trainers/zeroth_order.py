"""Zeroth-order trainers: forward passes only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from loretta_core.config.trainers.base import Estimator, Schedule, Trainer
from loretta_core.methods.ranges import DefaultRange


class ZerothOrderTrainer(Trainer):
    """Settings that all trainers share that need forward passes only."""

    zeroth_order: ClassVar[bool] = True
    scalar_state: ClassVar[bool] = True
    default_space: ClassVar[Mapping[str, DefaultRange]] = {
        "zo_eps": DefaultRange(
            1e-3,
            1e-2,
            "1e-3 in MeZO (arXiv 2305.17333), 1e-2 there for LoRA on OPT; both in jobs/sweeps/zo_trainers.toml, where 1e-2 allows the larger learning rates",
        )
    }

    zo_eps: float = Field(1e-3, gt=0)
    """Scale ε of the perturbation (MeZO: 1e-3; 1e-2 for LoRA on OPT)."""
    num_directions: int = Field(1, ge=1)
    """Random directions averaged per step; each costs two forward passes, or one and a shared one with `estimator = "one_sided"` (MeZO: 1)."""
    estimator: Estimator = "two_sided"
    """Loss differences between θ+εz and θ−εz, between θ+εz and θ, or between θ+εz and the mean over the step's directions (`population`, evolution strategies);
    as a baseline, the exact derivative along z (forward-mode, twice the memory)."""
    learns_from: Literal["loss", "metric", "reward"] = "loss"
    """What is lowered: the task's loss; 1 − its metric on the batch (accuracy, F1, …), which has no gradient; or 1 − the reward of the texts that the model
    writes to the batch, scored as the task scores them (`extract`, `metric`), for tasks with written answers. A metric moves in jumps: it wants large batches
    and a larger `zo_eps`."""
    distribution: Literal["gaussian", "rademacher"] = "gaussian"
    """Of the directions: normal values, or signs (whose SGD updates are bitwise the same on every device)."""
    clip: float | None = Field(None, gt=0)
    """Loss differences farther than so many robust standard deviations from the recent ones' median are clipped; None never clips (MeZO: none)."""
    schedule: Schedule = "constant"
    """Learning rate over the run, as for `adam` (MeZO: constant)."""
    batched: bool = False
    """Evaluate all variants of a step in one forward of the frozen model: as many times the rows, the same losses to rounding. Faster where a forward is bound
    by launches or by reading weights (a few rows on a GPU), not elsewhere (`python tests/benchmarks/bench_zo.py`)."""

    @property
    def carries_tangent(self) -> bool:
        """True if forwards are differentiated along a direction."""
        return self.estimator == "forward_gradient"

    @property
    def jumps(self) -> bool:
        """True if what is lowered has no gradient: the metric itself, or a reward."""
        return self.learns_from != "loss"

    @property
    def rewarded(self) -> bool:
        """True if what is lowered is 1 − the reward of texts that the model writes."""
        return self.learns_from == "reward"

    @property
    def variants_at_once(self) -> int:
        """Perturbed losses computed in one forward pass: all of a step with `batched`, else one."""
        return self.evaluations_of(self.most_directions) if self.batched else 1

    @property
    def most_directions(self) -> int:
        """The largest number of random directions of any step."""
        return self.num_directions

    @model_validator(mode="after")
    def _batches_losses(self) -> Self:
        if self.batched and (self.carries_tangent or self.jumps):
            asked = f'estimator = "{self.estimator}"' if self.carries_tangent else f'learns_from = "{self.learns_from}"'
            raise ValueError(f"batched = true evaluates losses at several points in one forward, and {asked} does not; leave one of the two out")
        return self

    @model_validator(mode="after")
    def _a_metric_has_no_derivative(self) -> Self:
        if self.carries_tangent and self.jumps:
            raise ValueError(
                f'estimator = "forward_gradient" differentiates the loss, and learns_from = "{self.learns_from}" has no derivative; use estimator = "two_sided"'
            )
        return self

    @model_validator(mode="after")
    def _a_population_is_several(self) -> Self:
        if self.estimator == "population" and self.num_directions < 2:
            raise ValueError(
                f'estimator = "population" compares the directions of a step, and num_directions = {self.num_directions} leaves nothing to compare; give 2'
            )
        return self

    def evaluations_of(self, directions: int) -> int:
        """Return the losses that a step of so many directions computes."""
        return {"two_sided": 2 * directions, "one_sided": directions + 1, "population": directions, "forward_gradient": directions}[self.estimator]

    def directions_at(self, step: int, *, steps_per_epoch: int) -> int:
        """Return the number of random directions of a step."""
        return self.num_directions


class ZoSgd(ZerothOrderTrainer):
    """ZO-SGD as in MeZO (arXiv 2305.17333): two forward passes per direction, no gradients, no optimizer state."""

    type: Literal["zo_sgd"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate (MeZO: 1e-6 for full fine-tuning of OPT, 1e-4 for LoRA)."""


class ZoMomentum(ZerothOrderTrainer):
    """SGD with momentum on zeroth-order estimates (ZO-SGD-MMT of ZO-Bench, arXiv 2402.11592). One number of state per trainable parameter."""

    scalar_state: ClassVar[bool] = False
    lr_factor: ClassVar[float] = 0.1

    type: Literal["zo_momentum"]
    lr: float = Field(1e-5, gt=0)
    """Learning rate; a tenth of ZO-SGD's gives steps of the same length at momentum 0.9."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Share of the last update that the next one keeps."""


class ZoAdam(ZerothOrderTrainer):
    """AdamW on zeroth-order estimates (MeZO-Adam, arXiv 2305.17333; ZO-Adam of ZO-Bench, arXiv 2402.11592). Two numbers of state per trainable parameter."""

    scalar_state: ClassVar[bool] = False

    type: Literal["zo_adam"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate (MeZO-Adam: 1e-6 to 1e-3; ZO-Bench with LoRA: 1e-6 to 1e-4)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the moments."""


class ZoSign(ZerothOrderTrainer):
    """ZO-SGD with the sign of the projected gradient (ZO-SGD-Sign of ZO-Bench, arXiv 2402.11592): every step is equally long."""

    type: Literal["zo_sign"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate: what a coordinate moves in a step."""


class Fzoo(ZerothOrderTrainer):
    """ZO-SGD divided by the standard deviation of the step's losses, signs as directions (FZOO, arXiv 2506.09034)."""

    type: Literal["fzoo"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate: about √q times what a coordinate moves in a step (FZOO: 5e-5 for full fine-tuning of OPT)."""
    num_directions: int = Field(8, ge=2)
    """Random directions of a step (paper: 8)."""
    estimator: Estimator = "one_sided"
    """Loss differences between θ+εz and θ−εz, or between θ+εz and θ (paper: one-sided)."""
    distribution: Literal["gaussian", "rademacher"] = "rademacher"
    """Of the directions (paper: signs)."""


class Es(ZerothOrderTrainer):
    """Evolution strategies with a population of weights, rewards standardised over it (arXiv 2509.24372): θ ← θ + η/N Σ_k (R_k − mean R) / std R · z_k.

    With `learns_from = "reward"` that is the paper's method; with the default, −R is the loss. N evaluations a step, and none at θ.
    """

    type: Literal["es"]
    lr: float = Field(5e-4, gt=0)
    """Learning rate: about √N times what a coordinate moves in a step (paper: α = 5e-4 for full fine-tuning at σ = 1e-3)."""
    num_directions: int = Field(30, ge=2)
    """Members N of the population (paper: 30)."""
    estimator: Estimator = "population"
    """Loss differences between θ+εz and the mean over the population (paper), or as for the other trainers."""


class Meazo(ZerothOrderTrainer):
    """ZO-SGD divided by the root mean square of recent projected gradients (MEAZO, arXiv 2605.03869): one number of state."""

    type: Literal["meazo"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate: about what a coordinate moves in a step."""


class AdaZeta(ZerothOrderTrainer):
    """ZO-SGD whose number of directions grows with the epochs, made for tensor-train adapters (AdaZeta, arXiv 2406.18060).

    Directions in epoch e = 1, 2, …: the whole part of query_alpha · e^query_beta, at least `num_directions`, at most `max_directions`.
    """

    type: Literal["adazeta"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate (AdaZeta: 1e-4 and 5e-5)."""
    query_alpha: float = Field(0.85, gt=0)
    """α of the schedule (paper: 0.85)."""
    query_beta: float = Field(0.45, ge=0)
    """β of the schedule (paper: 0.45)."""
    max_directions: int = Field(20, ge=1)
    """Most directions of a step (paper: 20)."""

    @property
    def most_directions(self) -> int:
        """The largest number of random directions of any step."""
        return self.max_directions

    def directions_at(self, step: int, *, steps_per_epoch: int) -> int:
        """Return the number of random directions of a step, a function of the step alone."""
        epoch = step // steps_per_epoch + 1
        return min(max(int(self.query_alpha * epoch**self.query_beta), self.num_directions), self.max_directions)
