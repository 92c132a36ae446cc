"""The pack context of a cell that runs in lockstep with others: it sends what the cell evaluates to the pack, and shares equal frozen weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import unwrap

import torch
from torch import Tensor, nn

from loretta_core.pack.coroutine import random_state, set_random_state
from loretta_core.pack.merged_forward import EvalRequest, EvalResult, Values
from loretta_core.pack.request_batcher import RequestBatcher
from loretta_core.tasks.base import Batch
from loretta_core.train.pack_context import Backward, CellComputation, PackInfo
from loretta_core.train.step import MeanLoss
from loretta_core.zo.guards.closures import Closure
from loretta_core.zo.parameters.flat import FlatParameters
from loretta_core.zo.parameters.placement import Storage
from loretta_core.zo.variants import Evaluator, Variant, stack_variants

Submit = Callable[[EvalRequest], EvalResult | None]
"""Sends a request to the pack and waits for its result; None: the cell has to compute it itself."""


@dataclass
class LockstepContext:
    """The context of one cell of a pack."""

    pack_info: PackInfo
    batcher: RequestBatcher
    submit: Submit = field(default=lambda request: None)
    _own: CellComputation | None = None
    _different: Values = field(default_factory=dict)
    """Frozen weights that are not those of the first cell, (1, …)."""
    _charged_s: float = 0.0
    _started_s: float = 0.0

    def clock(self) -> float:
        """Return the seconds of this cell so far; called while it runs."""
        return self._charged_s + time.perf_counter() - self._started_s

    def start_clock(self) -> None:
        """Start to count seconds: the cell is resumed."""
        self._started_s = time.perf_counter()

    def stop_clock(self) -> None:
        """Stop counting seconds: the cell is suspended and others run."""
        self._charged_s = self.clock()

    def charge(self, seconds: float) -> None:
        """Add the cell's part of a shared computation to its clock."""
        self._charged_s += seconds

    def join(self, computation: CellComputation) -> None:
        """Register the cell once it is built, and share the frozen weights that equal those of the first cell."""
        self._own = computation
        if self.batcher.first is None:
            self.batcher.first = computation
        self._different = _share_frozen(computation, self.batcher.first)

    def evaluator(self, solo: Evaluator) -> Evaluator:
        """Return an evaluator that sends variants to the pack; `solo` computes what the pack does not."""
        return LockstepEvaluator(self, solo)

    def backward(self, solo: Backward) -> Backward:
        """Return a function that gets gradients from the pack; `solo` computes what the pack does not."""
        return partial(self._backward, solo)

    def losses(self, batches: Sequence[Batch], *, storage: FlatParameters, variants: Sequence[Variant]) -> list[float] | None:
        """Return the losses of variants of the trainable parameters; None where the cell has to compute them itself."""
        assert self._own is not None, "the cell was built"
        names = {id(parameter): name for name, parameter in self._own.trainable.items()}
        views = storage.split(stack_variants(storage, variants))
        result = self._submitted({names[id(parameter)]: view for parameter, view in zip(storage.parameters, views, strict=True)}, batches)
        return None if result is None else result.losses

    def _backward(self, solo: Backward, batches: Sequence[Batch]) -> float:
        assert self._own is not None, "the cell was built"
        trainable = self._own.trainable
        result = self._submitted({name: parameter.detach()[None] for name, parameter in trainable.items()}, batches, random=random_state())
        if result is None:
            return solo(batches)
        if result.random is not None:
            set_random_state(result.random)
        for name, parameter in trainable.items():
            gradient = result.gradients[name][0]
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        return result.losses[0]

    def _submitted(self, values: Values, batches: Sequence[Batch], *, random: list[Tensor] | None = None) -> EvalResult | None:
        if not self.batcher.enabled:
            return None
        variants = len(next(iter(values.values())))
        frozen = {name: value.expand(variants, *value.shape[1:]) for name, value in self._different.items()}
        return self.submit(EvalRequest(values, frozen, batches, random))


@dataclass(frozen=True)
class LockstepEvaluator:
    """Evaluates zeroth-order variants together with those of the other cells of the pack."""

    context: LockstepContext
    solo: Evaluator

    def losses(self, closure: Closure, *, storage: Storage, variants: Iterable[Variant]) -> list[float]:
        """Return one loss per variant, from the pack where it can merge them, else from `solo`."""
        asked = unwrap(closure)
        if not (isinstance(asked, MeanLoss) and isinstance(storage, FlatParameters) and self.context.batcher.enabled):
            return self.solo.losses(closure, storage=storage, variants=variants)
        chosen = list(variants)
        found = self.context.losses(asked.batches, storage=storage, variants=chosen)
        return self.solo.losses(closure, storage=storage, variants=chosen) if found is None else found


def _share_frozen(own: CellComputation, first: CellComputation) -> Values:
    """Let the frozen weights of a cell be those of the first where they are equal, bit by bit. Returns the others, (1, …)."""
    theirs: dict[str, nn.Parameter] = dict(first.model.named_parameters())
    different: dict[str, Tensor] = {}
    for name, parameter in own.model.named_parameters():
        if name in own.trainable or parameter is theirs[name]:
            continue
        if parameter.data_ptr() == theirs[name].data_ptr() or torch.equal(parameter, theirs[name]):
            parameter.data = theirs[name].data
        else:
            different[name] = parameter.detach()[None]
    return different
