"""Exact directional derivatives of the loss by forward-mode differentiation (Baydin et al., arXiv 2202.08587).

    d = ⟨∇L, εz⟩          one evaluation that carries a tangent; no ε error, no rounding of a loss difference, no stored activations

A baseline for zeroth order: the same update with the finite difference replaced by what it approximates. It needs a differentiable loss, operations with a
forward derivative (fused attention kernels have none, so attention runs on plain ones), and about twice the memory of a forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from loretta_core.zo.guards.closures import Closure, SameRandomness, call
from loretta_core.zo.parameters.flat import FlatParameters
from loretta_core.zo.parameters.placement import Shift, Storage


def derivatives(closure: Closure, *, storage: Storage, shifts: Iterable[Shift]) -> tuple[float, list[float]]:
    """Return the loss at θ, and its derivative along every shift. Raises ValueError for streamed parameters and for a loss without a derivative."""
    if not isinstance(storage, FlatParameters):
        raise ValueError('estimator "forward_gradient" needs a tangent as large as the parameters; streamed ones have no room for it')
    loss, found, randomness = 0.0, [], SameRandomness(storage.devices)
    for shift in shifts:
        assert isinstance(shift, Tensor), "flat parameters are shifted by vectors"
        with forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH):
            duals = {id(p): forward_ad.make_dual(p.detach(), piece) for p, piece in zip(storage.parameters, storage.split(shift), strict=True)}
            with _DualTensorMode(duals):
                randomness.rewind()
                value = call(closure)
            primal, tangent = forward_ad.unpack_dual(value) if isinstance(value, Tensor) else (value, None)
            if tangent is None:
                raise ValueError('estimator "forward_gradient" needs a loss that depends differentiably on the parameters; got one without a derivative')
            loss = float(primal)
            found.append(float(tangent))
    return loss, found


class _DualTensorMode(TorchFunctionMode):
    """A mode in which every operation gets parameters with tangents (dual tensors)."""

    def __init__(self, duals: Mapping[int, Tensor]) -> None:
        super().__init__()
        self._duals = duals

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call an operation with dual tensors in place of the parameters."""
        return func(*self._dual(args), **{name: self._dual(value) for name, value in (kwargs or {}).items()})

    def _dual(self, value: Any) -> Any:
        if type(value) in (list, tuple):
            return type(value)(map(self._dual, value))
        return self._duals.get(id(value), value)
