"""Notices that a part of a model has other parameters now: `load_state_dict(assign=True)` puts new ones in their place and tells no optimizer.

A parameter that leaves a module loses a reference, and references are counted before every step (0.1 µs each). That alone says little, since any variable is
one. So what lost a reference is watched during the next evaluation: if no operation reads it, and one reads another trainable parameter of its shape that this
optimizer does not have, it was replaced.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from loretta_core.zo.guards.closures import Closure, uncompiled


class LostParameters:
    """Looks at the parameters of one optimizer before every step, and warns of those that are lost, once each."""

    def __init__(self) -> None:
        self._references: dict[int, int] = {}
        self._watched: list[nn.Parameter] = []

    def look(self, parameters: Sequence[nn.Parameter]) -> None:
        """Count the references of the parameters that train, which the caller holds as often as at every other look."""
        counts = dict(zip(map(id, parameters), map(sys.getrefcount, parameters), strict=True))
        if counts == self._references:
            return
        before, self._references = self._references, counts
        self._watched += [one for one in parameters if counts[id(one)] < before.get(id(one), 0)]

    def watching(self, closure: Closure) -> Closure:
        """Return a closure that does the same, and whose first call warns of the watched parameters that were replaced."""
        if not self._watched:
            return closure
        watched, self._watched = self._watched, []

        def first_watched() -> Any:  # what it may return is looked at elsewhere
            if not watched:
                return closure()
            with uncompiled(), _Reads() as reads:
                loss = closure()
            others = {one.shape for index, one in reads.seen.items() if one.requires_grad and index not in self._references}
            lost = [one for one in watched if id(one) not in reads.seen and one.shape in others]
            if 0 < len(lost) < len(self._references):  # where all are lost, every difference is 0, of which `trouble.py` warns
                _warn(lost)
            watched.clear()
            return loss

        return update_wrapper(first_watched, closure)  # an evaluator that knows the closure of a cell finds it by `inspect.unwrap`


class _Reads(TorchFunctionMode):
    """Notes the parameters that operations get."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, nn.Parameter] = {}
        """`id` → parameter."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call an operation, and note what it gets."""
        self._note((*args, *(kwargs or {}).values()))
        return func(*args, **(kwargs or {}))

    def _note(self, values: Any) -> None:
        for value in values:
            if type(value) in (list, tuple):
                self._note(value)
            elif type(value) is nn.Parameter and id(value) not in self.seen:
                self.seen[id(value)] = value


def _warn(lost: Sequence[nn.Parameter]) -> None:
    shapes = [tuple(one.shape) for one in lost]
    warnings.warn(
        f"the loss reads other parameters in place of {len(lost)} that this optimizer has (shapes {shapes[:5]}): its updates of these are lost. "
        "load_state_dict(assign=True) gives a module new parameters: load without assign, or build the optimizer after it",
        stacklevel=6,
    )
