"""Zeroth-order optimizers, which need forward passes only, as `torch.optim.Optimizer`s.

    ZOSGD          θ ← (1 − ηλ) θ − η/q Σ_k g_k z_k              MeZO (arXiv 2305.17333, algorithm 1); no state but the step count
                   other lengths of the step along the same directions: `scaling.py`
    ZerothOrder    p.grad ← 1/q Σ_k g_k z_k, then the step of any torch optimizer: AdamW gives ZO-Adam, SGD with momentum ZO-momentum

    g_k = d_k / ε     z_k drawn from (seed, step, k)     d_k from `estimator.py`

Parameters live in one fp32 buffer with a copy beside it (`parameters/flat.py`); ZOSGD streams those that have no room for that, or are bf16
(`parameters/streaming.py`).
All q directions of a step are evaluated at the same θ. The update is a function of (step, d_1 … d_q, learning rate) alone, so that a log of the d's is
enough to repeat a run (`replay_log.py`). A step in which a loss is not finite changes nothing and is counted; outliers can be clipped (`outliers.py`).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from loretta_core.zo.estimator import Estimator, Probe, as_fp32, probe
from loretta_core.zo.noise import Direction, Distribution, draw
from loretta_core.zo.outliers import clip_outliers, signal_to_noise, update_window
from loretta_core.zo.parameters.flat import FlatParameters
from loretta_core.zo.parameters.placement import LazyShift, Shift, Storage
from loretta_core.zo.parameters.streaming import ROUNDING, StreamedParameters
from loretta_core.zo.scaling import Scaling, bias_corrected, step_factors, update_second_moment
from loretta_core.zo.variants import Closure, Evaluator, Serial

OnStep = Callable[[int, Sequence[float]], None]
"""A function called after each step with its number and the differences d that made the update; empty for a skipped step."""


STREAM_FROM = 1 << 26
"""Number of parameters from which ZOSGD streams by default: a buffer, its copy, z and εz would need 1 GiB more."""
MEASURE_EVERY = 100
"""Steps between measurements of `update_gain` of streamed parameters."""


class _ZerothOrderBase(Optimizer):
    """Base of both optimizers: draws directions, evaluates the loss, clips, updates and counts steps."""

    def _configure(
        self,
        *,
        storage: Storage,
        estimator: Estimator,
        distribution: Distribution,
        directions_at: Callable[[int], int] | None,
        clip: float | None,
    ) -> None:
        if clip is not None and not clip > 0:
            raise ValueError(f"expected clip > 0 or None; got {clip}")
        self._clip = clip
        self._estimator: Estimator = estimator
        self._distribution: Distribution = distribution
        self._directions_at = directions_at
        self._storage = storage
        self._cached_direction: tuple[Direction, Tensor] | None = None
        self._pending: Probe | None = None
        self._loss = math.nan
        self.evaluator: Evaluator = Serial()
        """Evaluates the loss around θ: `variants.Batched(model)` and `variants.Autotuned(model)` use one forward for several points."""
        self.on_step: OnStep | None = None

    @property
    def steps_taken(self) -> int:
        """The number of steps so far, skipped ones included; the next step's number."""
        return self.param_groups[0]["steps_taken"]

    @property
    def skipped_steps(self) -> int:
        """The number of steps whose loss was not finite."""
        return self.param_groups[0]["skipped_steps"]

    @property
    def clipped_differences(self) -> int:
        """The number of differences that `clip` has changed."""
        return self.param_groups[0]["clipped_differences"]

    @property
    def evaluations(self) -> int:
        """The number of loss evaluations so far."""
        return self.param_groups[0]["evaluations"]

    @property
    def signal_to_noise(self) -> float:
        """Recent differences in units of the loss's rounding (`outliers.signal_to_noise`); nan before the first step."""
        return signal_to_noise(self.param_groups[0]["recent"], loss=self._loss)

    @property
    def update_gain(self) -> float | None:
        """Share of the last measured update that arrived in bf16 or streamed weights; None for the flat buffer, which is fp32."""
        return self._storage.gain if isinstance(self._storage, StreamedParameters) else None

    @property
    def theta(self) -> Float[Tensor, " P"]:
        """The parameters as one vector, in the order of the groups: a view, not a copy. Raises ValueError for streamed ones."""
        return self._flat.theta_P

    @property
    def storage(self) -> Storage:
        """The storage of the parameters, as an evaluator gets it."""
        return self._storage

    @property
    def _flat(self) -> FlatParameters:
        if not isinstance(self._storage, FlatParameters):
            raise ValueError("streamed parameters are not one vector; read them one by one")
        return self._storage

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> float:  # type: ignore[override]
        """Evaluate `closure` (→ scalar loss, no backward) along each direction and update θ.

        Returns the loss at θ in fp32 (two-sided: the mean of all evaluations, equal to O(ε²)), without a forward of its own. Without a closure it makes the
        update of the last `probe`, for loops that call `step()` themselves.
        """
        if closure is not None:
            self.probe(closure)
        if self._pending is None:
            raise ValueError("step() was called without a closure and without a probe(closure) before it: a zeroth-order step needs the loss")
        number, pending, self._pending = self.steps_taken, self._pending, None
        differences = self._clip_differences(pending.differences) if pending.finite else ()
        self.apply(differences)
        if self.on_step is not None:
            self.on_step(number, differences)
        return pending.loss

    @torch.no_grad()
    def probe(self, closure: Closure) -> float:
        """Evaluate the current step without updating; returns the loss at θ. The next `step()` makes the update."""
        shifts = (self._shift(direction) for direction in self._directions(self.steps_taken))
        self._pending = probe(closure, storage=self._storage, shifts=shifts, estimator=self._estimator, evaluator=self.evaluator)
        self.param_groups[0]["evaluations"] += self._pending.evaluations
        self._loss = self._pending.loss
        return self._loss

    @torch.no_grad()
    def apply(self, differences: Sequence[float]) -> None:
        """Make the update of the current step from its differences, without any evaluation; an empty sequence skips the step."""
        if differences:
            self._update(self._directions(self.steps_taken, len(differences)), differences)
        else:
            self.param_groups[0]["skipped_steps"] += 1
        self.param_groups[0]["recent"] = update_window(self.param_groups[0]["recent"], differences)
        for group in self.param_groups:
            group["steps_taken"] += 1

    def release(self) -> None:
        """Give every parameter storage of its own again, as saving needs, at the end of training. The optimizer must not step afterwards."""
        self._storage.release()

    def _clip_differences(self, differences: Sequence[float]) -> Sequence[float]:
        if self._clip is None:
            return differences
        kept = tuple(map(as_fp32, clip_outliers(differences, past=self.param_groups[0]["recent"], clip=self._clip)))
        self.param_groups[0]["clipped_differences"] += sum(one != other for one, other in zip(kept, differences, strict=True))
        return kept

    @abstractmethod
    def _update(self, directions: Sequence[Direction], differences: Sequence[float]) -> None: ...

    def _directions(self, step: int, count: int | None = None) -> list[Direction]:
        group = self.param_groups[0]
        if count is None:
            count = group["num_directions"] if self._directions_at is None else self._directions_at(step)
        return [Direction(group["seed"], step, index) for index in range(count)]

    def _draw(self, direction: Direction) -> Float[Tensor, " P"]:
        """Return z; the last one is cached, so that a step with one direction draws it once."""
        if self._cached_direction is None or self._cached_direction[0] != direction:
            self._cached_direction = (direction, draw(direction, size=len(self._flat), distribution=self._distribution, device=self._flat.theta_P.device))
        return self._cached_direction[1]

    def _shift(self, direction: Direction) -> Shift:
        if isinstance(self._storage, StreamedParameters):
            return LazyShift(direction, self._distribution, tuple(group["zo_eps"] for group in self.param_groups for _ in group["params"]))
        z_P = self._draw(direction)
        shift_P = torch.empty_like(z_P)
        for group, part in self._group_slices():
            torch.mul(z_P[part], group["zo_eps"], out=shift_P[part])
        return shift_P

    def _group_slices(self) -> Iterator[tuple[dict[str, Any], slice]]:
        start = 0
        for group in self.param_groups:
            size = sum(parameter.numel() for parameter in group["params"])
            yield group, slice(start, start + size)
            start += size


class ZOSGD(_ZerothOrderBase):
    """Stochastic gradient descent along random directions.

    Args:
        params: fp32 parameters or parameter groups; a group may have its own lr, zo_eps and weight_decay.
        lr: learning rate η.
        zo_eps: scale ε of the perturbation.
        num_directions: q, directions averaged per step; a two-sided step evaluates the closure 2q times, a one-sided one q + 1 times.
        weight_decay: decoupled decay λ.
        seed: seed of the directions.
        estimator: "two_sided", "one_sided" or, as a baseline, "forward_gradient" (exact, differentiated forwards).
        distribution: "gaussian" (MeZO) or "rademacher" (signs: updates are bitwise the same on every device).
        directions_at: step → q, instead of `num_directions` (AdaZeta's schedule).
        clip: loss differences farther than so many robust standard deviations from the recent ones' median are clipped (None: never).
        scaling: "gradient" (MeZO), "sign", "std" (FZOO; num_directions ≥ 2) or "rms" (MEAZO), as in `scaling.py`.
        streamed: perturb parameters where they are read instead of in a second copy; None does so for bf16 and from STREAM_FROM numbers on.

    Raises ValueError for settings out of range, and for parameters that are neither fp32 nor bf16.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        lr: float = 1e-4,
        zo_eps: float = 1e-3,
        num_directions: int = 1,
        weight_decay: float = 0.0,
        seed: int = 0,
        estimator: Estimator = "two_sided",
        distribution: Distribution = "gaussian",
        directions_at: Callable[[int], int] | None = None,
        clip: float | None = None,
        scaling: Scaling = "gradient",
        streamed: bool | None = None,
    ) -> None:
        if lr < 0 or weight_decay < 0:
            raise ValueError(f"expected lr ≥ 0 and weight_decay ≥ 0; got {lr} and {weight_decay}")
        if scaling == "std" and directions_at is None and num_directions < 2:
            raise ValueError(f"expected num_directions ≥ 2 with scaling 'std', whose step is divided by the spread of the differences; got {num_directions}")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "second_moment": 0.0, **_group_defaults(zo_eps, num_directions, seed)})
        self._scaling: Scaling = scaling
        self._configure(
            storage=_storage(_parameters(self), False if estimator == "forward_gradient" and streamed is None else streamed),
            estimator=estimator,
            distribution=distribution,
            directions_at=directions_at,
            clip=clip,
        )

    def _update(self, directions: Sequence[Direction], differences: Sequence[float]) -> None:
        """Subtract one rounded coefficient times z: for signs a single IEEE addition per coordinate, the same on every device."""
        if isinstance(self._storage, StreamedParameters):
            self._update_streamed(self._storage, directions, self._factors(differences))
            return
        theta_P = self._flat.theta_P
        for group, part in self._group_slices():
            if group["weight_decay"]:
                theta_P[part].mul_(1.0 - group["lr"] * group["weight_decay"])
        for direction, factor in zip(directions, self._factors(differences), strict=True):
            z_P = self._draw(direction)
            for group, part in self._group_slices():
                theta_P[part].sub_(z_P[part], alpha=self._step_size(group, factor, len(differences)))

    def _update_streamed(self, storage: StreamedParameters, directions: Sequence[Direction], factors: Sequence[float]) -> None:
        terms = []
        for direction, factor in zip(directions, factors, strict=True):
            lengths = tuple(self._step_size(group, factor, len(factors)) for group in self.param_groups for _ in group["params"])
            terms.append(LazyShift(direction, self._distribution, lengths))
        decays = tuple(group["lr"] * group["weight_decay"] for group in self.param_groups for _ in group["params"])
        rounding = Direction(self.param_groups[0]["seed"], self.steps_taken, ROUNDING)
        storage.subtract(terms, decays=decays, rounding=rounding, measure=self.steps_taken % MEASURE_EVERY == 0)

    def _step_size(self, group: dict[str, Any], factor: float, directions: int) -> float:
        return group["lr"] * factor / ((group["zo_eps"] if self._scaling == "gradient" else 1.0) * directions)

    def _factors(self, differences: Sequence[float]) -> Sequence[float]:
        if self._scaling == "gradient":
            return differences
        first = self.param_groups[0]
        first["second_moment"] = update_second_moment(first["second_moment"], differences)
        applied = first["steps_taken"] - first["skipped_steps"] + 1
        return step_factors(differences, scaling=self._scaling, second_moment=bias_corrected(first["second_moment"], steps=applied))


class ZerothOrder(_ZerothOrderBase):
    """Any torch optimizer on zeroth-order gradient estimates: ZerothOrder(torch.optim.AdamW(params, lr=1e-4)) is ZO-Adam.

    Args:
        inner: the optimizer; its parameter groups are shared, a group may have its own zo_eps.
        zo_eps, num_directions, seed, estimator, distribution, directions_at, clip: as in ZOSGD.
    """

    def __init__(
        self,
        inner: Optimizer,
        *,
        zo_eps: float = 1e-3,
        num_directions: int = 1,
        seed: int = 0,
        estimator: Estimator = "two_sided",
        distribution: Distribution = "gaussian",
        directions_at: Callable[[int], int] | None = None,
        clip: float | None = None,
    ) -> None:
        super().__init__(inner.param_groups, {**inner.defaults, **_group_defaults(zo_eps, num_directions, seed)})
        self._inner = inner
        self._share_state()
        self._configure(storage=FlatParameters(_parameters(self)), estimator=estimator, distribution=distribution, directions_at=directions_at, clip=clip)
        self._gradient_P = torch.zeros_like(self._flat.theta_P)
        self._flat.set_gradients(self._gradient_P)

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimizer's state; its groups carry the step count and the seed."""
        return self._inner.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that `state_dict` returned."""
        self._inner.load_state_dict(state_dict)
        self._share_state()

    def _share_state(self) -> None:
        self.param_groups = self._inner.param_groups
        self.state = self._inner.state

    def _update(self, directions: Sequence[Direction], differences: Sequence[float]) -> None:
        self._gradient_P.zero_()
        for direction, difference in zip(directions, differences, strict=True):
            z_P = self._draw(direction)
            for group, part in self._group_slices():
                self._gradient_P[part].add_(z_P[part], alpha=difference / (group["zo_eps"] * len(differences)))
        self._flat.set_gradients(self._gradient_P)
        self._inner.step()


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _storage(parameters: list[nn.Parameter], streamed: bool | None) -> Storage:
    if streamed is None:
        streamed = (
            any(parameter.dtype not in (torch.float32, torch.float64) for parameter in parameters)
            or sum(parameter.numel() for parameter in parameters) >= STREAM_FROM
        )
    return StreamedParameters(parameters) if streamed else FlatParameters(parameters)


def _group_defaults(zo_eps: float, num_directions: int, seed: int) -> dict[str, Any]:
    if not (zo_eps > 0 and math.isfinite(zo_eps)) or num_directions < 1:
        raise ValueError(f"expected zo_eps > 0 and num_directions ≥ 1; got {zo_eps} and {num_directions}")
    counts = {"steps_taken": 0, "skipped_steps": 0, "clipped_differences": 0, "evaluations": 0}
    return {"zo_eps": zo_eps, "num_directions": num_directions, "seed": seed, "recent": [], **counts}
