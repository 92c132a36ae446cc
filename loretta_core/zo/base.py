"""The step that all zeroth-order optimizers share: draw directions, evaluate the loss around θ, clip, update, count.

All q directions of a step are evaluated at the same θ. The update is a function of (step, d_1 … d_q, learning rate) alone, so that a log of the d's is
enough to repeat a run (`replay_log.py`). A step in which a loss is not finite changes nothing and is counted; outliers can be clipped (`outliers.py`).

Before every step the parameters are compared with what they were after the last one (`parameters/membership.py`): the storage is made anew when some were
frozen, unfrozen, added, moved or given another tensor. The groups keep all parameters, as torch's do; what is drawn and updated are those that train.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from loretta_core.zo.directions.base import Directions, slots_of
from loretta_core.zo.directions.dense import Dense
from loretta_core.zo.directions.factored import Factored
from loretta_core.zo.estimator import Estimator, Probe, as_fp32, probe
from loretta_core.zo.guards.closures import Closure
from loretta_core.zo.guards.lost import LostParameters
from loretta_core.zo.guards.trouble import Trouble
from loretta_core.zo.log.settings import layout_of, settings_of
from loretta_core.zo.noise import Direction, Distribution
from loretta_core.zo.outliers import clip_outliers, signal_to_noise, update_window
from loretta_core.zo.parameters.flat import FlatParameters
from loretta_core.zo.parameters.membership import Snapshot, snapshot, training
from loretta_core.zo.parameters.placement import LazyShift, Shift, Storage
from loretta_core.zo.parameters.rounding import ROUNDING
from loretta_core.zo.parameters.streaming import StreamedParameters
from loretta_core.zo.population import Population
from loretta_core.zo.variants import Evaluator, Serial

OnStep = Callable[[int, Sequence[float]], None]
"""A function called after each step with its number and the numbers that made the update (`Probe.numbers`); empty for a skipped step."""

MEASURE_EVERY = 100
"""Steps between measurements of `update_gain` of streamed parameters."""


@runtime_checkable
class StepLog(Protocol):
    """An `on_step` that keeps what decides the weights of a run, besides the differences: it is told whose steps it gets."""

    def __call__(self, step: int, differences: Sequence[float]) -> None:
        """Note one step."""
        ...

    def bind(self, optimizer: ZerothOrderBase) -> None:
        """Note the optimizer whose steps follow, and where it starts."""
        ...


class ZerothOrderBase(Optimizer):
    """Base of the zeroth-order optimizers; its groups carry the counters, so that a state dict does."""

    _storage: Storage | None = None
    """None until the first look at the parameters."""
    _on_step: OnStep | None = None

    def _configure(
        self,
        *,
        estimator: Estimator,
        distribution: Distribution,
        directions_at: Callable[[int], int] | None,
        clip: float | None,
        streamed: bool | None,
        directions: Directions | None,
    ) -> None:
        if clip is not None and not clip > 0:
            raise ValueError(f"expected clip > 0 or None; got {clip}")
        self.draws: Directions = copy(directions) if directions is not None else Dense()
        """How directions are drawn: `draws.factors` tells those of a matrix, `draws.slots` the parameters that train."""
        self._prepared: int | None = None
        if self.draws.curvatures and estimator != "two_sided":
            raise ValueError(f'{self.draws.type} directions learn from second differences, which estimator "two_sided" alone has; got "{estimator}"')
        self._clip = clip
        self._estimator: Estimator = estimator
        self._distribution: Distribution = distribution
        self._directions_at = directions_at
        self._streamed = streamed
        self._snapshot: Snapshot = ([], [], [], [])
        self._sizes: list[int] = []
        self._layout: dict[str, Any] | None = None
        self._cached_direction: tuple[Direction, Tensor] | None = None
        self._pending: Probe | None = None
        self._loss = math.nan
        self._lost = LostParameters()
        self.trouble = Trouble()
        """Warns when nothing is learned."""
        self.evaluator: Evaluator = Serial()
        """Evaluates the loss around θ: `variants.Batched(model)` and `variants.Autotuned(model)` use one forward for several points, and
        `population.Population(model)` does so by the factors of low-rank directions."""
        self.look()

    @property
    def on_step(self) -> OnStep | None:
        """Called after each step; a `replay_log.LogWriter` also learns from the assignment what optimizer it belongs to."""
        return self._on_step

    @on_step.setter
    def on_step(self, called: OnStep | None) -> None:
        self._on_step = called
        if isinstance(called, StepLog):
            called.bind(self)

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
    def update_settings(self) -> dict[str, Any]:
        """The settings that decide the weights besides start, differences and learning rates, as JSON values (`log/settings.py`); as of the last look."""
        assert self._storage is not None, "the constructor looks at the parameters"
        if self._layout is None:
            self._layout = layout_of(self.param_groups, self._storage)
        more = {"distribution": self._distribution, **self._described(), **self._layout}
        if not isinstance(self.draws, Dense):
            more["directions"] = self.draws.settings()
        return settings_of(self.param_groups, options=self.defaults, more=more)

    @property
    def has_factors(self) -> bool:
        """True if directions of matrices are products of thin factors, so that a `population.Population` evaluates them without stacking copies."""
        return isinstance(self.draws, Factored)

    @property
    def rates(self) -> tuple[float, ...]:
        """The current learning rate of each group."""
        return tuple(float(group["lr"]) for group in self.param_groups)

    @property
    def theta(self) -> Float[Tensor, " P"]:
        """The parameters that train as one vector, in the order of the groups: a view, not a copy. Raises ValueError for streamed ones."""
        self.look()
        return self._flat.theta_P

    @property
    def storage(self) -> Storage:
        """The storage of the parameters that train, as an evaluator gets it."""
        return self.look()

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
        if closure is None:
            self.look()
        else:
            self.probe(closure)
        if self._pending is None:
            raise ValueError(
                "step() was called without a closure and without a probe(closure) of these parameters before it: a zeroth-order step needs the loss"
            )
        number, pending, self._pending = self.steps_taken, self._pending, None
        numbers = (*self._clip_differences(pending.differences), *pending.curvatures) if pending.finite else ()
        self.advance(numbers)
        if self._on_step is not None:
            self._on_step(number, numbers)
        return pending.loss

    @torch.no_grad()
    def probe(self, closure: Closure) -> float:
        """Evaluate the current step without updating; returns the loss at θ. The next `step()` makes the update."""
        storage = self.look()
        self._prepare()
        closure = self._lost.watching(closure)
        shifts = (self._shift(direction) for direction in self._directions(self.steps_taken))
        self._pending = probe(closure, storage=storage, shifts=shifts, estimator=self._estimator, evaluator=self.evaluator, curvatures=self.draws.curvatures)
        self.param_groups[0]["evaluations"] += self._pending.evaluations
        self._loss = self._pending.loss
        self.trouble.see(loss=self._loss, differences=self._pending.differences)
        return self._loss

    @torch.no_grad()
    def apply(self, numbers: Sequence[float]) -> None:
        """Make the update of the current step from its numbers (`Probe.numbers`), without any evaluation; an empty sequence skips the step."""
        self.look()
        self.advance(numbers)

    def release(self) -> None:
        """Give every parameter memory of its own again and free the buffers, at the end of training. A later step would make them anew."""
        if self._storage is not None:
            self._storage.release()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, also after steps were taken: they take part from the next step on, which has the same number for all."""
        super().add_param_group(param_group)
        self._join(self.param_groups[-1])

    def _join(self, group: dict[str, Any]) -> None:
        """Give a new group the defaults it lacks, and the counters of the others."""
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        group["steps_taken"] = self.steps_taken

    @torch.no_grad()
    def advance(self, numbers: Sequence[float]) -> None:
        """Do as `apply` right after a `look`, which is not repeated."""
        count = len(numbers) // (2 if self.draws.curvatures else 1)
        differences, curvatures = numbers[:count], numbers[count:]
        if differences:
            directions = self._directions(self.steps_taken, count)
            if self._prepared != self.steps_taken:
                self._prepare()
            self._update(directions, differences)
            self.draws.learn(directions, differences, curvatures)
        else:
            self.param_groups[0]["skipped_steps"] += 1
        self.param_groups[0]["recent"] = update_window(self.param_groups[0]["recent"], differences)
        for group in self.param_groups:
            group["steps_taken"] += 1

    def look(self) -> Storage:
        """Take in what happened to the parameters since the last look; return their storage."""
        if self._storage is None or self._snapshot != snapshot(self.param_groups):
            if self._storage is not None:
                self._storage.release()
            before, self._storage = self._storage, self._new_storage(self._parameters)
            if before is None or list(map(id, before.parameters)) != list(map(id, self._storage.parameters)):
                self._pending = None  # differences along directions in another space
            self._layout = None
            self._sizes = [sum(parameter.numel() for parameter in training(group)) for group in self.param_groups]
            self._snapshot = snapshot(self.param_groups)
            self._attach(self._storage)
        self._lost.look(self._parameters)
        return self._storage

    def _attach(self, storage: Storage) -> None:
        """Tell the way of drawing which parameters train, and where its state is."""
        self._prepared = self._cached_direction = None
        streamed = isinstance(storage, StreamedParameters)
        self.draws.attach(slots_of(self.param_groups), distribution=self._distribution, streamed=streamed, state=self.state)

    def _prepare(self) -> None:
        self.draws.prepare(self.steps_taken)
        self._prepared = self.steps_taken

    @property
    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.param_groups for parameter in training(group)]

    @abstractmethod
    def _new_storage(self, parameters: list[nn.Parameter]) -> Storage: ...

    @abstractmethod
    def _described(self) -> dict[str, Any]:
        """Return the name of the update (`optimizer`), and its settings that are in no group."""

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

    @property
    def _rounding(self) -> Direction:
        """The random bits that round this step's update."""
        return Direction(self.param_groups[0]["seed"], self.steps_taken, ROUNDING)

    @property
    def _measures(self) -> bool:
        return self.steps_taken % MEASURE_EVERY == 0

    def _draw(self, direction: Direction) -> Float[Tensor, " P"]:
        """Return z; the last one is cached, so that a step with one direction draws it once."""
        if self._cached_direction is None or self._cached_direction[0] != direction:
            self._cached_direction = (direction, self.draws.whole(direction))
        return self._cached_direction[1]

    def _shift(self, direction: Direction) -> Shift:
        if isinstance(self._storage, StreamedParameters) or isinstance(self.evaluator, Population):
            return LazyShift(direction, self.draws, tuple(slot.group["zo_eps"] for slot in self.draws.slots))
        z_P = self._draw(direction)
        shift_P = torch.empty_like(z_P)
        for group, part in self._group_slices():
            torch.mul(z_P[part], group["zo_eps"], out=shift_P[part])
        return shift_P

    def _group_slices(self) -> Iterator[tuple[dict[str, Any], slice]]:
        start = 0
        for group, size in zip(self.param_groups, self._sizes, strict=True):
            yield group, slice(start, start + size)
            start += size


def group_defaults(zo_eps: float, num_directions: int, seed: int) -> dict[str, Any]:
    """Return what a group of a zeroth-order optimizer holds: settings, and the counters of the run. Raises ValueError for settings out of range."""
    if not (zo_eps > 0 and math.isfinite(zo_eps)) or num_directions < 1:
        raise ValueError(f"expected zo_eps > 0 and num_directions ≥ 1; got {zo_eps} and {num_directions}")
    counts = {"steps_taken": 0, "skipped_steps": 0, "clipped_differences": 0, "evaluations": 0}
    return {"zo_eps": zo_eps, "num_directions": num_directions, "seed": seed, "recent": [], **counts}
