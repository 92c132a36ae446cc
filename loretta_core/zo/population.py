"""A population of low-rank perturbations through one forward (EGGROLL, arXiv 2511.16652).

    y_k = x_k Wᵀ + s_k (x_k B_k) A_kᵀ          for member k, whose matrix is W + s_k A_k B_kᵀ with s_k = ± ε

The product with W is one for the stacked batches of all members, which reads the weights once; a member adds two thin products. No member's matrix is made: the
memory is that of N batches of activations, N (m + n) r numbers for a matrix, and N copies of what has no factors (norms, biases, tensor-train cores).
Looked-up rows of an embedding get A's rows; an operation that is no linear layer and no look-up gets W + s A Bᵀ, for every member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from loretta_core.zo.directions.base import Slot
from loretta_core.zo.guards.closures import Closure
from loretta_core.zo.parameters.placement import LazyShift, Storage
from loretta_core.zo.variants import ClosureModule, Variant, parameter_names

Factors = tuple[Tensor, Tensor]
"""s A (…, m, r) and B (…, n, r) of a matrix."""


class Population:
    """Evaluates all variants in one forward, matrices by their factors.

    Args:
        model: the model with the trainable parameters; the closure calls it, and must not branch on values (`.item()`, `if loss > 0`).

    For directions with factors (`directions/low_rank.py`); others are stacked as in `variants.Batched`. Raises ValueError if an optimizer's parameter is not in
    the model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def losses(self, closure: Closure, *, storage: Storage, variants: Iterable[Variant]) -> list[float]:
        """Return one loss per variant, whose shifts are LazyShifts."""
        members, names = list(variants), parameter_names(self._model, storage)
        dense: dict[str, Tensor] = {}
        factors: dict[int, Factors] = {}
        for index, (name, parameter) in enumerate(zip(names, storage.parameters, strict=True)):
            found = [_factors(member, index) for member in members]
            known = [one for one in found if one is not None]
            if len(known) == len(members):
                factors[id(parameter)] = (_stacked([one[0] for one in known], parameter), _stacked([one[1] for one in known], parameter))
            else:
                dense[name] = torch.stack([_shifted(parameter, member, index) for member in members])
        module = ClosureModule(self._model, closure)

        def one(values: dict[str, Tensor], of_matrices: dict[int, Factors]) -> Tensor:
            with _LowRankMode(of_matrices):
                return functional_call(module, values, ())

        with sdpa_kernel(SDPBackend.MATH):  # fused kernels have no batching rule
            return vmap(one, randomness="same")(dense, factors).float().tolist()


class _LowRankMode(TorchFunctionMode):
    """Adds A Bᵀ to matrices where operations read them. Torch switches a mode off inside its own handler."""

    def __init__(self, factors: Mapping[int, Factors]) -> None:
        super().__init__()
        self._factors = factors

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call an operation with perturbed matrices."""
        kwargs = kwargs or {}
        if func is F.linear:
            return self._linear(*args, **kwargs)
        if func is F.embedding and _keeps_rows(**kwargs) and self._of(args[1]) is not None:
            return self._lookup(*args, **kwargs)
        if func.__name__ == "__get__":  # shape, dtype, device
            return func(*args, **kwargs)
        return func(*map(self._whole, args), **{name: self._whole(value) for name, value in kwargs.items()})

    def _of(self, value: object) -> Factors | None:
        return self._factors.get(id(value))

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        output, factors = F.linear(input, weight, bias), self._of(weight)
        return output if factors is None else output + (input @ factors[1]) @ factors[0].T

    def _lookup(self, input: Tensor, weight: Tensor, *settings: Any, **more: Any) -> Tensor:
        left, right = self._factors[id(weight)]
        return F.embedding(input, weight) + F.embedding(input, left) @ right.T

    def _whole(self, value: Any) -> Any:
        """Return the value with every matrix in it perturbed."""
        if isinstance(value, list | tuple):
            return type(value)(map(self._whole, value)) if type(value) in (list, tuple) else value
        factors = self._of(value)
        return value if factors is None else value + factors[0] @ factors[1].T


def _keeps_rows(*, max_norm: float | None = None, **others: Any) -> bool:
    return max_norm is None


def _shift_of(member: Variant) -> LazyShift:
    assert isinstance(member.shift, LazyShift), "the optimizer gives a population its shifts by their directions"
    return member.shift


def _factors(member: Variant, index: int) -> Factors | None:
    """Return s A and B of a member's matrix, None of what has no factors."""
    shift = _shift_of(member)
    found = shift.draws.factors(shift.direction, shift.draws.slots[index])
    return None if found is None else (found[0] * (member.sign * shift.scales[index]), found[1])


def _shifted(parameter: nn.Parameter, member: Variant, index: int) -> Tensor:
    """Return a member's values of a parameter without factors."""
    shift = _shift_of(member)
    slot: Slot = shift.draws.slots[index]
    z = shift.values(index, start=0, size=len(slot)).view(parameter.shape)
    return (parameter.detach().float() + member.sign * shift.scales[index] * z).to(parameter.dtype)


def _stacked(values: Sequence[Tensor], parameter: nn.Parameter) -> Tensor:
    return torch.stack(list(values)).to(parameter.dtype)
