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
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from loretta_core.zo.directions.base import Member
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
        for name, parameter, scales_V, found in zip(names, storage.parameters, *_members(members), strict=True):
            if isinstance(found, Tensor):
                scaled = found * scales_V[:, None].to(found.device)
                dense[name] = (parameter.detach().float() + scaled.unflatten(1, parameter.shape or (1,))).reshape(-1, *parameter.shape).to(parameter.dtype)
            else:
                left, right = found
                factors[id(parameter)] = ((left * scales_V[:, None, None].to(left.device)).to(parameter.dtype), right.to(parameter.dtype))
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


def _members(variants: Sequence[Variant]) -> tuple[list[Float[Tensor, " V"]], list[Member]]:
    """Return, for every parameter, s = sign · ε of each variant, and its z of each variant."""
    shifts = [variant.shift for variant in variants]
    assert all(isinstance(shift, LazyShift) for shift in shifts), "the optimizer gives a population its shifts by their directions"
    lazy = [shift for shift in shifts if isinstance(shift, LazyShift)]
    scales_VS = torch.tensor([[variant.sign * scale for scale in shift.scales] for variant, shift in zip(variants, lazy, strict=True)])
    unique = list(dict.fromkeys(shift.direction for shift in lazy))
    of_variant = [unique.index(shift.direction) for shift in lazy]
    found = lazy[0].draws.members(unique)
    if len(unique) < len(lazy):
        found = [one[of_variant] if isinstance(one, Tensor) else (one[0][of_variant], one[1][of_variant]) for one in found]
    return list(scales_VS.unbind(1)), found
