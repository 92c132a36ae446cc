"""Evaluators: the losses of several variants of the trainable parameters, one after the other or all in one forward of the frozen model.

    Serial     the parameters point at θ + shift, one variant at a time; memory of one evaluation
    Batched    torch.func: the closure runs once under vmap, with the trainable parameters stacked as (V, …); the frozen weights are shared, so the base's
               matrix products see V times the rows
    Autotuned    times both on the first steps of each shape and keeps the faster one

Batching wins where the forward is bound by launches or by reading weights (few rows and tokens) and loses nothing but memory elsewhere; it is never assumed.
A variant is only a row of the stack: nothing here says that all rows belong to one optimizer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from loretta_core.zo.guards.closures import Closure, SameRandomness, call, loss_value
from loretta_core.zo.parameters.flat import FlatParameters
from loretta_core.zo.parameters.placement import Shift, Storage
from loretta_core.zo.parameters.streaming import StreamedParameters


class Variant(NamedTuple):
    """The parameters at θ + sign · shift."""

    sign: int
    shift: Shift


@runtime_checkable
class Evaluator(Protocol):
    """Evaluates the losses of variants around θ. θ itself is bitwise the same afterwards, also when the closure raises."""

    def losses(self, closure: Closure, *, storage: Storage, variants: Iterable[Variant]) -> list[float]:
        """Return one loss per variant, in order."""
        ...


class Serial:
    """Evaluates one variant after the other."""

    def losses(self, closure: Closure, *, storage: Storage, variants: Iterable[Variant]) -> list[float]:
        """Return one loss per variant. `variants` may be a generator: only one shift needs to exist at a time."""
        found, randomness = [], SameRandomness(storage.devices)
        with storage.evaluating() as set_shift:
            for sign, shift in variants:
                set_shift(sign, shift)
                randomness.rewind()
                found.append(loss_value(closure))
        return found


class Batched:
    """Evaluates all variants in one forward.

    Args:
        model: the model with the trainable parameters; the closure calls it, and must not branch on values (`.item()`, `if loss > 0`).

    Raises ValueError if an optimizer's parameter is not in the model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def losses(self, closure: Closure, *, storage: Storage, variants: Iterable[Variant]) -> list[float]:
        """Return one loss per variant. Streamed parameters are stacked too: as many copies of them as there are variants exist for the time of the forward."""
        names = parameter_names(self._model, storage)
        if isinstance(storage, FlatParameters):
            views = storage.split(stack_variants(storage, variants))
        else:
            assert isinstance(storage, StreamedParameters), "the two storages there are"
            views = storage.stacked([(sign, shift) for sign, shift in variants])
        module = ClosureModule(self._model, closure)

        def one(values: dict[str, Tensor]) -> Tensor:
            return functional_call(module, values, ())

        # Fused attention kernels have no batching rule and would run one variant at a time; the plain one is made of operations that have.
        with sdpa_kernel(SDPBackend.MATH):
            return vmap(one, randomness="same")(dict(zip(names, views, strict=True))).float().tolist()


def parameter_names(model: nn.Module, storage: Storage) -> list[str]:
    """Return the name of each trained parameter in a `ClosureModule` of the model. Raises ValueError if one is not in the model."""
    known = {id(parameter): f"model.{name}" for name, parameter in model.named_parameters()}
    try:
        return [known[id(parameter)] for parameter in storage.parameters]
    except KeyError:
        raise ValueError("a parameter of the optimizer is not in the model that batches its variants") from None


class ClosureModule(nn.Module):
    """A module around a closure: `functional_call` swaps the parameters of `model` while it runs."""

    def __init__(self, model: nn.Module, closure: Closure) -> None:
        super().__init__()
        self.model = model
        self._closure = closure

    def forward(self) -> Tensor:
        """Return the closure's loss."""
        loss = call(self._closure)
        if not isinstance(loss, Tensor):
            raise TypeError(f"the closure returned {type(loss).__name__}; to be batched it must return a tensor: leave .item() and float() out")
        return loss.reshape(())


def stack_variants(flat: FlatParameters, variants: Iterable[Variant]) -> Float[Tensor, "V P"]:
    """Return the parameters of every variant, stacked."""
    rows = []
    for sign, shift in variants:
        assert isinstance(shift, Tensor), "flat parameters are shifted by vectors"
        rows.append(torch.add(flat.theta_P, shift, alpha=sign))
    return torch.stack(rows)


TIMED_RUNS = 3
"""Evaluations of each kind that are timed before one is chosen; the shortest counts, so that one interruption does not decide."""


@dataclass
class Autotuned:
    """Times Serial and Batched per number of variants and key, then stays with the faster one.

    Args:
        model: as in Batched.
        key: returns what the time depends on besides the number of variants, such as the shape of the batch; a new key is timed anew.
    """

    model: nn.Module
    key: Callable[[], object] = lambda: None
    _times_s: dict[tuple[object, int, bool], list[float]] = field(default_factory=dict)

    def losses(self, closure: Closure, *, storage: Storage, variants: Iterable[Variant]) -> list[float]:
        """Return one loss per variant, from the evaluator that is faster or is being timed."""
        chosen = list(variants)
        key = self.key()
        serial, batched = (self._times_s.setdefault((key, len(chosen), kind), []) for kind in (False, True))
        batch = self._prefers_batched(serial, batched)
        started = time.perf_counter()
        found = (Batched(self.model) if batch else Serial()).losses(closure, storage=storage, variants=chosen)
        if min(len(serial), len(batched)) < TIMED_RUNS:
            (batched if batch else serial).append(time.perf_counter() - started)
        return found

    def chose_batched(self, variants: int) -> bool | None:
        """Return True if Batched was chosen for the current key, False if Serial was; None while both are timed."""
        serial, batched = (self._times_s.get((self.key(), variants, kind), []) for kind in (False, True))
        return None if min(len(serial), len(batched)) < TIMED_RUNS else self._prefers_batched(serial, batched)

    @staticmethod
    def _prefers_batched(serial: Sequence[float], batched: Sequence[float]) -> bool:
        if len(serial) < TIMED_RUNS or len(batched) < TIMED_RUNS:
            return len(batched) < len(serial)
        return min(batched) < min(serial)
