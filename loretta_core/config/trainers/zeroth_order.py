"""Zeroth-order trainers, which need forward passes only: one class per trainer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from loretta_core.config.trainers.base import Trainer
from loretta_core.methods.ranges import DefaultRange

Estimator = Literal["two_sided", "one_sided", "population", "forward_gradient"]


class _ZerothOrder(Trainer):
    """Settings that all trainers share that need forward passes only."""

    zeroth_order: ClassVar[bool] = True
    updates_in_place: ClassVar[bool] = True
    evaluates_theta: ClassVar[bool] = False
    """True if a two-sided step evaluates the loss at θ too."""
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
    schedule: Literal["linear", "constant"] = "constant"
    """Learning rate over the run: falling linearly to 0, or constant (MeZO: constant)."""
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
        return self.losses(self.most_directions) if self.batched else 1

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

    def directions_at(self, step: int, *, steps_per_epoch: int) -> int:
        """Return the number of random directions of a step."""
        return self.num_directions

    def losses(self, directions: int) -> int:
        """Return the number of losses that a step with so many directions evaluates."""
        if self.estimator == "two_sided":
            return 2 * directions + self.evaluates_theta
        return directions + (self.estimator == "one_sided")


class ZoSgd(_ZerothOrder):
    """ZO-SGD as in MeZO (arXiv 2305.17333): two forward passes per direction, no gradients, no optimizer state."""

    type: Literal["zo_sgd"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate (MeZO: 1e-6 for full fine-tuning of OPT, 1e-4 for LoRA)."""


class ZoMomentum(_ZerothOrder):
    """SGD with momentum on zeroth-order estimates (ZO-SGD-MMT of ZO-Bench, arXiv 2402.11592). One number of state per trainable parameter."""

    updates_in_place: ClassVar[bool] = False
    state_numbers: ClassVar[float] = 2.0
    lr_factor: ClassVar[float] = 0.1

    type: Literal["zo_momentum"]
    lr: float = Field(1e-5, gt=0)
    """Learning rate; a tenth of ZO-SGD's gives steps of the same length at momentum 0.9."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Share of the last update that the next one keeps."""


class ZoAdam(_ZerothOrder):
    """AdamW on zeroth-order estimates (MeZO-Adam, arXiv 2305.17333; ZO-Adam of ZO-Bench, arXiv 2402.11592). Two numbers of state per trainable parameter."""

    updates_in_place: ClassVar[bool] = False
    state_numbers: ClassVar[float] = 3.0

    type: Literal["zo_adam"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate (MeZO-Adam: 1e-6 to 1e-3; ZO-Bench with LoRA: 1e-6 to 1e-4)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the moments."""


class ZoSign(_ZerothOrder):
    """ZO-SGD with the sign of the projected gradient (ZO-SGD-Sign of ZO-Bench, arXiv 2402.11592): every step is equally long."""

    type: Literal["zo_sign"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate: what a coordinate moves in a step."""


class Fzoo(_ZerothOrder):
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


class Es(_ZerothOrder):
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


class Eggroll(_ZerothOrder):
    """Evolution strategies with a population of low-rank perturbations (EGGROLL, arXiv 2511.16652): as `es`, with z = A Bᵀ / √r for every matrix.

    `batched = true` evaluates the whole population in one forward, without a copy of what trains for each member.
    """

    type: Literal["eggroll"]
    lr: float = Field(5e-4, gt=0)
    """Learning rate: about √N times what a coordinate moves in a step."""
    num_directions: int = Field(8, ge=2)
    """Members N of the population (the paper goes to 2¹⁸, on accelerators)."""
    estimator: Estimator = "population"
    """Loss differences between θ+εz and the mean over the population (paper), or as for the other trainers."""
    rank: int = Field(1, ge=1)
    """Rank r of a perturbation (paper: 1)."""


class Meazo(_ZerothOrder):
    """ZO-SGD divided by the root mean square of recent projected gradients (MEAZO, arXiv 2605.03869): one number of state."""

    type: Literal["meazo"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate: about what a coordinate moves in a step."""


class AdaZeta(_ZerothOrder):
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


class Lozo(_ZerothOrder):
    """ZO-SGD along directions U Vᵀ of low rank, of which V stays for some steps (LOZO, arXiv 2410.07698); what is no matrix has dense directions."""

    type: Literal["lozo"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate (LOZO: 1e-7 to 1e-6 for full fine-tuning of OPT)."""
    rank: int = Field(2, ge=1)
    """Rank of the directions (paper: 1 to 4)."""
    refresh_every: int = Field(50, ge=1)
    """Steps for which V stays (paper: 50 to 100)."""


class Subzero(_ZerothOrder):
    """ZO-SGD along directions U Z Vᵀ in a random subspace that stays for some steps (SubZero, arXiv 2410.08989); what is no matrix has dense directions."""

    type: Literal["subzero"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate; steps are as long as ZO-SGD's."""
    rank: int = Field(24, ge=1)
    """Columns of U and V, at most a matrix's smaller side (paper: 24 to 64)."""
    refresh_every: int = Field(1000, ge=1)
    """Steps for which U and V stay (paper: about 1,000)."""


class ZoSparse(_ZerothOrder):
    """ZO-SGD on a share of the weights: the smallest of each tensor (Sparse-MeZO, arXiv 2402.15751), or any (ZO-Bench, arXiv 2402.11592)."""

    state_numbers: ClassVar[float] = 0.25

    type: Literal["zo_sparse"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate; a perturbation of fewer weights bears a larger one than ZO-SGD's."""
    sparsity: float = Field(0.75, ge=0, lt=1)
    """Share of the weights that a step leaves alone (Sparse-MeZO: 0.5 to 0.8)."""
    mask: Literal["magnitude", "random"] = "magnitude"
    """Which weights a step perturbs: the smallest of each tensor, or others at every step."""


class Hizoo(_ZerothOrder):
    """ZO-SGD along directions that an estimate of the Hessian's diagonal shortens (HiZOO, arXiv 2402.15173). Three forward passes per step with one direction,
    one number of state per trainable parameter."""

    evaluates_theta: ClassVar[bool] = True
    state_numbers: ClassVar[float] = 1.0

    type: Literal["hizoo"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate, at first that of ZO-SGD."""
    estimator: Literal["two_sided"] = "two_sided"
    """Loss differences between θ+εz and θ−εz, and θ for the curvature."""
    smoothing: float = Field(1e-6, gt=0, lt=1)
    """How soon the estimate of the curvature follows; 0.1 may be too much, where losses are steep."""


class Conmezo(_ZerothOrder):
    """ZO-SGD along directions within a cone around the momentum (ConMeZO, arXiv 2511.02757). One number of state per trainable parameter."""

    state_numbers: ClassVar[float] = 1.0

    type: Literal["conmezo"]
    lr: float = Field(1e-4, gt=0)
    """Learning rate; that of ZO-SGD or less, since steps along the momentum are longer."""
    angle: float = Field(1.35, gt=0, le=math.pi / 2)
    """Half-angle of the cone in radians; π/2 leaves the momentum out (paper: 1.35)."""
    momentum: float = Field(0.95, ge=0, lt=1)
    """Share of the momentum that a step keeps (paper: 0.95 with OPT)."""


class ZoMuon(_ZerothOrder):
    """Orthogonalised estimates in a random subspace that stays for some steps (ZO-Muon, arXiv 2602.17155): matrices move along the polar factor of their
    estimate, all else along the estimate over its norm."""

    type: Literal["zo_muon"]
    lr: float = Field(1e-3, gt=0)
    """Learning rate: about what a singular value moves in a step (ZO-Muon: 1e-2 for vision transformers)."""
    num_directions: int = Field(4, ge=1)
    """Random directions of a step (paper: 4 with language models, 16 with vision transformers)."""
    estimator: Literal["two_sided", "one_sided", "forward_gradient"] = "one_sided"
    """Loss differences between θ+εz and θ−εz, or between θ+εz and θ (paper: one-sided)."""
    rank: int = Field(64, ge=1)
    """Dimensions of the subspace of a matrix's columns, at most its smaller side (paper: 64)."""
    refresh_every: int = Field(100, ge=1)
    """Steps for which the subspace stays (paper: 100)."""


ZerothOrderConfig = ZoSgd | ZoMomentum | ZoAdam | ZoSign | Fzoo | Es | Eggroll | Meazo | AdaZeta | Lozo | Subzero | ZoSparse | Hizoo | Conmezo | ZoMuon
"""The trainers that need forward passes only."""
