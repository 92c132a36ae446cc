"""One evaluation of the loss: what a closure may return, and the same random numbers for every evaluation of a step.

Dropout draws from torch's global generators. If the two sides of a direction saw different masks, the difference of their losses would be mostly that of the
masks; so every evaluation of a step begins at the same generator state, and the step leaves the generators where one evaluation leaves them: the next step
sees new masks. A closure that draws nothing leaves them untouched.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from numbers import Real

import torch
from torch import Tensor

Closure = Callable[[], Tensor | float]
"""() → scalar loss at the current parameters, without a backward pass; called under no_grad."""

_BACKWARD = ("does not require grad and does not have a grad_fn", "backward() called inside a functorch transform")
"""What torch says of a backward pass through a loss that was computed without gradients, or for several variants at once."""

_TO_NUMBER = ("vmap: It looks like you're calling .item()", "Cannot access data pointer of Tensor that doesn't have storage")
"""What torch says of a number that is asked of a loss of several variants."""


class SameRandomness:
    """Lets evaluations draw the same random numbers from the global generators of the CPU and of the parameters' CUDA devices."""

    def __init__(self, devices: Sequence[torch.device]) -> None:
        self._cuda = _cuda_indices(devices)
        self._states: list[Tensor] | None = None

    def rewind(self) -> None:
        """Note the generators' state at the first call, and go back to it at every later one."""
        if self._states is None:
            self._states = [torch.get_rng_state(), *map(torch.cuda.get_rng_state, self._cuda)]
            return
        first, *rest = self._states
        torch.set_rng_state(first)
        for index, state in zip(self._cuda, rest, strict=True):
            torch.cuda.set_rng_state(state, index)


def generator_states(devices: Sequence[torch.device]) -> Tensor:
    """Return the states of the global generators of the CPU and of the parameters' CUDA devices, as bytes in a row."""
    return torch.cat([torch.get_rng_state(), *map(torch.cuda.get_rng_state, _cuda_indices(devices))])


def _cuda_indices(devices: Sequence[torch.device]) -> list[int]:
    return sorted({device.index for device in devices if device.type == "cuda" and device.index is not None})


def uncompiled() -> AbstractContextManager[object]:
    """Return a context in which compiled models run as they were written: compiled code would not show its operations to a mode."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def loss_value(closure: Closure) -> float:
    """Evaluate a closure. Raises what `call` raises."""
    loss = call(closure)
    return float(loss.detach() if isinstance(loss, Tensor) else loss)  # a closure may enable gradients


def call(closure: Closure) -> Tensor | float:
    """Call a closure and return its loss, a number or a tensor with one value.

    Raises RuntimeError if it back-propagates, TypeError if it returns no loss or, batched, needs a number, ValueError if it returns several numbers.
    """
    try:
        loss = closure()
    except RuntimeError as error:
        said = str(error)
        if any(text in said for text in _BACKWARD):
            raise RuntimeError("the closure calls backward(): zeroth order needs the loss alone, so return it and leave backward() out") from error
        if any(text in said for text in _TO_NUMBER):
            raise TypeError("the closure asks a tensor for its number; to be batched it must return a tensor: leave .item() and float() out") from error
        raise
    if isinstance(loss, Tensor):
        return _checked(loss)
    if not isinstance(loss, Real):
        hint = "return model(**batch).loss" if isinstance(loss, Mapping) and "loss" in loss else "end it with return loss"
        raise TypeError(f"the closure returned {type(loss).__name__}; expected the loss, one number or a scalar tensor: {hint}")
    return float(loss)


def _checked(loss: Tensor) -> Tensor:
    if loss.numel() != 1:
        raise ValueError(f"the closure returned a tensor of shape {tuple(loss.shape)}; expected one number, the loss: return loss.mean()")
    if loss.is_complex():
        raise ValueError(f"the closure returned a {loss.dtype} number; expected a real loss")
    if loss.dtype in (torch.bfloat16, torch.float16):
        warnings.warn(
            f"the closure returned a loss in {loss.dtype}, whose rounding is coarser than most loss differences: compute it from logits.float()", stacklevel=2
        )
    return loss
