"""Zeroth-order optimizers, which need forward passes only, as `torch.optim.Optimizer`s.

    ZOSGD          θ ← (1 − ηλ) θ − η/q Σ_k g_k z_k              MeZO (arXiv 2305.17333, algorithm 1); no state but the step count
                   other lengths of the step along the same directions: `scaling.py`; other directions: `directions/`; matrices: `updates/orthogonal.py`
    ZerothOrder    p.grad ← 1/q Σ_k g_k z_k, then the step of any torch optimizer: AdamW gives ZO-Adam, SGD with momentum ZO-momentum

    g_k = d_k / ε     z_k drawn from (seed, step, k)     d_k from `estimator.py`

Parameters that require a gradient live in one fp32 buffer with a copy beside it (`parameters/flat.py`); bf16 ones are streamed (`parameters/streaming.py`), and
with ZOSGD those that have no room for a copy. The step itself is in `base.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from loretta_core.zo.base import ZerothOrderBase, group_defaults
from loretta_core.zo.directions.base import Directions
from loretta_core.zo.estimator import Estimator
from loretta_core.zo.noise import Direction, Distribution
from loretta_core.zo.parameters.flat import FlatParameters
from loretta_core.zo.parameters.membership import storage_of, training
from loretta_core.zo.parameters.placement import LazyShift, Storage
from loretta_core.zo.parameters.streaming import StreamedParameters
from loretta_core.zo.scaling import Scaling, bias_corrected, step_factors, update_second_moment
from loretta_core.zo.updates.orthogonal import Orthogonal


class ZOSGD(ZerothOrderBase):
    """Stochastic gradient descent along random directions.

    Args:
        params: parameters or parameter groups; a group may have its own lr, zo_eps and weight_decay. Those that require no gradient are left alone.
        lr: learning rate η.
        zo_eps: scale ε of the perturbation.
        num_directions: q, directions averaged per step; a two-sided step evaluates the closure 2q times, a one-sided one q + 1 times, a population's q times.
        weight_decay: decoupled decay λ.
        seed: seed of the directions.
        estimator: "two_sided", "one_sided", "population" (against the mean of the step: with scaling "std" evolution strategies; num_directions ≥ 2) or, as a
            baseline, "forward_gradient" (exact, differentiated forwards).
        distribution: "gaussian" (MeZO) or "rademacher" (signs: updates are bitwise the same on every device).
        directions_at: step → q, instead of `num_directions` (AdaZeta's schedule).
        clip: loss differences farther than so many robust standard deviations from the recent ones' median are clipped (None: never).
        scaling: "gradient" (MeZO), "sign", "std" (FZOO; num_directions ≥ 2) or "rms" (MEAZO), as in `scaling.py`.
        streamed: perturb parameters where they are read instead of in a second copy; None does so for bf16 and from STREAM_FROM numbers on.
        directions: how directions are drawn (`directions/`), such as LowRank(rank=2); None draws dense ones.
        update: "sum" (of the directions, each as long as the scaling says) or "orthogonal" (ZO-Muon's, `updates/orthogonal.py`).

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
        directions: Directions | None = None,
        update: Literal["sum", "orthogonal"] = "sum",
    ) -> None:
        if lr < 0 or weight_decay < 0:
            raise ValueError(f"expected lr ≥ 0 and weight_decay ≥ 0; got {lr} and {weight_decay}")
        if update not in ("sum", "orthogonal"):
            raise ValueError(f'expected update "sum" or "orthogonal"; got "{update}"')
        if scaling == "std" and directions_at is None and num_directions < 2:
            raise ValueError(f"expected num_directions ≥ 2 with scaling 'std', whose step is divided by the spread of the differences; got {num_directions}")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "second_moment": 0.0, **group_defaults(zo_eps, num_directions, seed)})
        self._scaling: Scaling = scaling
        self._orthogonal = update == "orthogonal"
        streamed = False if estimator == "forward_gradient" and streamed is None else streamed
        self._configure(estimator=estimator, distribution=distribution, directions_at=directions_at, clip=clip, streamed=streamed, directions=directions)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that `state_dict` returned; what the directions keep stays fp32."""
        storage = self.look()
        with storage.in_fp32(rounding=self._rounding) if isinstance(storage, StreamedParameters) else nullcontext():
            super().load_state_dict(state_dict)  # torch casts the state to the dtype of its parameter
        self._attach(storage)

    def _new_storage(self, parameters: list[nn.Parameter]) -> Storage:
        return storage_of(parameters, streamed=self._streamed)

    def _described(self) -> dict[str, Any]:
        return {"optimizer": "ZOSGD", "scaling": self._scaling, **({"update": "orthogonal"} if self._orthogonal else {})}

    def _update(self, directions: Sequence[Direction], differences: Sequence[float]) -> None:
        """Subtract one rounded coefficient times z: for signs a single IEEE addition per coordinate, the same on every device."""
        if isinstance(self._storage, StreamedParameters):
            self._update_streamed(self._storage, directions, self._factors(differences))
            return
        theta_P = self._flat.theta_P
        for group, part in self._group_slices():
            if group["weight_decay"]:
                theta_P[part].mul_(1.0 - group["lr"] * group["weight_decay"])
        if self._orthogonal:
            shift = self._orthogonalised(directions, self._factors(differences))
            for slot in self.draws.slots:
                theta_P[slot.start : slot.start + len(slot)].sub_(shift.values(slot.index, start=0, size=len(slot)), alpha=shift.scales[slot.index])
            return
        for direction, factor in zip(directions, self._factors(differences), strict=True):
            z_P = self._draw(direction)
            for group, part in self._group_slices():
                theta_P[part].sub_(z_P[part], alpha=self._step_size(group, factor, len(differences)))

    def _update_streamed(self, storage: StreamedParameters, directions: Sequence[Direction], factors: Sequence[float]) -> None:
        terms = [self._orthogonalised(directions, factors)] if self._orthogonal else self._terms(directions, factors)
        decays = tuple(group["lr"] * group["weight_decay"] for group in self.param_groups for _ in training(group))
        storage.subtract(terms, decays=decays, rounding=self._rounding, measure=self._measures)

    def _terms(self, directions: Sequence[Direction], factors: Sequence[float]) -> list[LazyShift]:
        """Return what the sum of the directions subtracts: a shift for each."""
        lengths = [tuple(self._step_size(group, factor, len(factors)) for group in self.param_groups for _ in training(group)) for factor in factors]
        return [LazyShift(direction, self.draws, length) for direction, length in zip(directions, lengths, strict=True)]

    def _orthogonalised(self, directions: Sequence[Direction], factors: Sequence[float]) -> LazyShift:
        """Return what the orthogonalised update subtracts: one shift made of all directions."""
        step = Orthogonal(self.draws, directions=directions, weights=factors)
        return LazyShift(directions[0], step, tuple(slot.group["lr"] for slot in self.draws.slots))

    def _step_size(self, group: dict[str, Any], factor: float, directions: int) -> float:
        return group["lr"] * factor / ((group["zo_eps"] if self._scaling == "gradient" else 1.0) * directions)

    def _factors(self, differences: Sequence[float]) -> Sequence[float]:
        if self._scaling == "gradient":
            return differences
        first = self.param_groups[0]
        first["second_moment"] = update_second_moment(first["second_moment"], differences)
        applied = first["steps_taken"] - first["skipped_steps"] + 1
        return step_factors(differences, scaling=self._scaling, second_moment=bias_corrected(first["second_moment"], steps=applied))


class ZerothOrder(ZerothOrderBase):
    """Any torch optimizer on zeroth-order gradient estimates: ZerothOrder(torch.optim.AdamW(params, lr=1e-4)) is ZO-Adam.

    Args:
        inner: the optimizer; its parameter groups are shared, a group may have its own zo_eps.
        zo_eps, num_directions, seed, estimator, distribution, directions_at, clip, directions: as in ZOSGD.

    Raises ValueError for directions that keep a state: the wrapped optimizer's is its own.
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
        directions: Directions | None = None,
    ) -> None:
        if directions is not None and directions.keeps_state:
            raise ValueError(f"{directions.type} directions keep a state of their own, and so does {type(inner).__name__}; use them with ZOSGD")
        super().__init__(inner.param_groups, {**inner.defaults, **group_defaults(zo_eps, num_directions, seed)})
        self._inner = inner
        self._share_state()
        self._configure(estimator=estimator, distribution=distribution, directions_at=directions_at, clip=clip, streamed=None, directions=directions)

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimizer's state; its groups carry the step count and the seed."""
        return self._inner.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that `state_dict` returned."""
        self.look()
        if isinstance(self._storage, StreamedParameters):
            with self._storage.in_fp32(rounding=self._rounding):  # torch casts the state to the dtype of its parameter
                self._inner.load_state_dict(state_dict)
        else:
            self._inner.load_state_dict(state_dict)
        self._share_state()
        self._attach(self.look())

    def _share_state(self) -> None:
        self.param_groups = self._inner.param_groups
        self.state = self._inner.state

    def _new_storage(self, parameters: list[nn.Parameter]) -> Storage:
        for group in self.param_groups:
            self._join(group)  # one that was added to the wrapped optimizer has its defaults alone
        storage = storage_of(parameters, streamed=any(parameter.dtype == torch.bfloat16 for parameter in parameters))
        if isinstance(storage, FlatParameters):
            self._gradient_P = torch.zeros_like(storage.theta_P)
            storage.set_gradients(self._gradient_P)
        self._cast_state(storage.theta_P.dtype if isinstance(storage, FlatParameters) else torch.float32)
        return storage

    def _cast_state(self, dtype: torch.dtype) -> None:
        """Let what the wrapped optimizer keeps per number follow weights that were cast, as `load_state_dict` does."""
        for parameter, kept in self.state.items():
            for name, value in kept.items():
                if isinstance(value, torch.Tensor) and value.is_floating_point() and value.shape == parameter.shape and value.dim():
                    kept[name] = value.to(dtype)

    def _described(self) -> dict[str, Any]:
        return {"optimizer": f"ZerothOrder({type(self._inner).__name__})"}

    def _update(self, directions: Sequence[Direction], differences: Sequence[float]) -> None:
        if isinstance(self._storage, StreamedParameters):
            self._update_streamed(self._storage, directions, differences)
            return
        self._gradient_P.zero_()
        for direction, difference in zip(directions, differences, strict=True):
            z_P = self._draw(direction)
            for group, part in self._group_slices():
                self._gradient_P[part].add_(z_P[part], alpha=difference / (group["zo_eps"] * len(differences)))
        self._flat.set_gradients(self._gradient_P)
        self._step_inner()

    def _update_streamed(self, storage: StreamedParameters, directions: Sequence[Direction], differences: Sequence[float]) -> None:
        """Step with fp32 weights, gradients and state; the weights are rounded back to bf16 afterwards, the state stays."""
        scales = [group["zo_eps"] * len(differences) for group in self.param_groups for _ in training(group)]
        with storage.in_fp32(rounding=self._rounding, measure=self._measures) as parameters:
            for parameter, slot, scale in zip(parameters, self.draws.slots, scales, strict=True):
                gradient = torch.zeros(parameter.numel(), device=parameter.device)
                for direction, difference in zip(directions, differences, strict=True):
                    z = self.draws.values(direction, slot, start=0, size=len(gradient))
                    gradient.add_(z, alpha=difference / scale)
                parameter.grad = gradient.view(parameter.shape)
            self._step_inner()

    def _step_inner(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if not parameter.requires_grad:
                    parameter.grad = None  # torch's optimizers move whatever has a gradient, as a frozen parameter may have of earlier
        self._inner.step()
