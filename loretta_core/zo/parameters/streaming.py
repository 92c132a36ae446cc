"""Storage that evaluates θ + εz without a second copy: each torch operation that reads a trainable parameter gets a temporary perturbed copy.

    F.linear       blocks of output rows: y[:, a:b] = x (W + εz)[a:b]ᵀ              so that a large head needs one block, not itself
    F.embedding    the rows that are looked up: W[ids] + εz[ids]
    any other      a perturbed copy of the whole parameter (norm weights, biases, convolutions)

For full fine-tuning, where θ + εz has no room, and for bf16 weights. z is a function of the flat index, so it is drawn again wherever it is needed, block by
block; tied weights are one parameter with one index. The operations are caught by a `TorchFunctionMode`: modules need no hooks, and what a module does with
its weights does not matter. A compiled model (torch.compile) runs uncompiled meanwhile. Kernels that torch does not dispatch (custom autograd functions) would
read θ itself: parameters that no operation has read are named in a warning.

The update is written once, in place:   θ ← round(θ − Σ_k α_k z_k)   in fp32 arithmetic, or as any torch optimizer computes it from fp32 copies; bf16 is rounded
stochastically (`rounding.py`).
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from loretta_core.zo.guards.closures import uncompiled
from loretta_core.zo.noise import Direction
from loretta_core.zo.parameters.placement import NOTHING_TRAINS, LazyShift, SetShift, Shift, digest
from loretta_core.zo.parameters.rounding import overlap, rounded

BLOCK = 1 << 20
"""Number of values that are drawn at once; drawing needs about 16 bytes for each."""
LINEAR_BLOCK = 1 << 22
"""Number of weights of a matrix that are perturbed at once."""
# fmt: off
METADATA_OPERATIONS = frozenset({
    "shape", "dtype", "device", "layout", "ndim", "requires_grad", "is_leaf", "is_cuda", "is_cpu", "is_meta", "is_sparse", "is_quantized",
    "is_nested", "grad_fn", "names", "size", "dim", "numel", "nelement", "stride", "element_size", "is_floating_point",
    "is_complex", "is_contiguous", "data_ptr", "storage_offset", "get_device", "__len__", "__hash__", "__repr__",
})
# fmt: on
"""Operations on a tensor that do not read its values."""


class StreamedParameters:
    """Parameters that are perturbed where they are read. They may be fp32 and bf16 (ValueError otherwise), on any devices."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        if not self._parameters:
            raise ValueError(NOTHING_TRAINS)
        kinds = {parameter.dtype for parameter in self._parameters}
        if not kinds <= {torch.float32, torch.bfloat16}:
            raise ValueError(f"streamed zeroth-order parameters must be fp32 or bf16, got {sorted(map(str, kinds))}")
        if scattered := [tuple(parameter.shape) for parameter in self._parameters if not parameter.is_contiguous()]:
            raise ValueError(f"streamed parameters must be contiguous, those of shape {scattered[:3]} are not; make them so: p.data = p.data.contiguous()")
        self._starts = [0, *itertools.accumulate(parameter.numel() for parameter in self._parameters)]
        self._slots = {id(parameter): slot for slot, parameter in enumerate(self._parameters)}
        self._unread = set(range(len(self._parameters)))
        self._checked = False
        self.gain: float | None = None
        """Share of the last measured update that arrived in the weights: ⟨Δθ, wanted⟩ / ⟨wanted, wanted⟩, 1 on average with stochastic rounding."""

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters, in the order of the flat index."""
        return list(self._parameters)

    @property
    def devices(self) -> list[torch.device]:
        """The devices that hold parameters."""
        return list({parameter.device for parameter in self._parameters})

    def __len__(self) -> int:
        return self._starts[-1]

    @contextmanager
    def evaluating(self) -> Iterator[SetShift]:
        """Yield the function that sets the shift of the parameters, a LazyShift; see Storage."""
        with uncompiled(), (mode := _PerturbationMode(self)):
            yield mode.set_shift
        if not self._checked:
            self._checked = True
            self._warn_of_unread()

    def slot(self, value: object) -> int | None:
        """Return the index of the parameter that a value is; None if it is no parameter."""
        return self._slots.get(id(value))

    def perturbed(self, slot: int, *, sign: int, shift: LazyShift, rows: slice | None = None) -> Tensor:
        """Return a copy of a parameter, or of some of its rows, at θ + sign · shift, in its dtype."""
        self._unread.discard(slot)
        whole = self._parameters[slot].detach()
        part = whole if rows is None else whole[rows]
        first = 0 if rows is None else rows.start * whole[0].numel()
        copy = torch.empty_like(part, memory_format=torch.contiguous_format)
        for block, source, start in _blocks(copy, part):
            z = shift.values(slot, start=first + start, size=len(block))
            block.copy_(z.mul_(sign * shift.scales[slot]).add_(source))
        return copy

    def perturbed_rows(self, slot: int, ids: Tensor, *, sign: int, shift: LazyShift) -> Tensor:
        """Return rows `ids` of a matrix at θ + sign · shift; only the noise of these rows is drawn."""
        self._unread.discard(slot)
        weight_VH = self._parameters[slot].detach()
        ids_U, inverse = ids.unique(return_inverse=True)
        z_UH = shift.rows(slot, ids_U)
        return z_UH.mul_(sign * shift.scales[slot]).add_(weight_VH[ids_U]).to(weight_VH.dtype)[inverse]

    def stacked(self, variants: Sequence[tuple[int, Shift]]) -> list[Tensor]:
        """Return every parameter at θ + sign · shift of each variant, stacked as (V, …) in its dtype."""
        return [torch.stack([self._at(slot, sign, shift) for sign, shift in variants]) for slot in range(len(self._parameters))]

    def _at(self, slot: int, sign: int, shift: Shift) -> Tensor:
        assert isinstance(shift, LazyShift), "streamed parameters are shifted by a LazyShift"
        return self.perturbed(slot, sign=sign, shift=shift)

    @torch.no_grad()
    def subtract(self, terms: Sequence[LazyShift], *, decays: Sequence[float], rounding: Direction, measure: bool = False) -> None:
        """Update θ ← round((1 − decay) θ − Σ scale · z), each block once; `measure` also updates `gain`."""
        products = torch.zeros(2, dtype=torch.float64)
        for slot, parameter in enumerate(self._parameters):
            for block, _, start in _blocks(parameter.data, parameter.data):
                before = block.float()
                wanted = self._moved(before, slot, start, terms, decays[slot])
                block.copy_(wanted if block.dtype == torch.float32 else rounded(wanted, rounding, start=self._starts[slot] + start))
                if measure:
                    products += overlap(wanted - before, block.float() - before)
        if measure:
            self.gain = (products[0] / products[1]).item() if products[1] else None

    @contextmanager
    def in_fp32(self, *, rounding: Direction, measure: bool = False) -> Iterator[list[nn.Parameter]]:
        """Make bf16 parameters fp32 ones within the context, for an optimizer that keeps fp32 state; what it leaves in them is rounded on leaving.

        Yields the parameters. When the block raises, the weights are as before. `measure` also updates `gain`.
        """
        originals = [parameter.data for parameter in self._parameters]
        try:
            for parameter, original in zip(self._parameters, originals, strict=True):
                parameter.grad = None  # of another dtype than the copy
                parameter.data = original.to(torch.float32, copy=True)
            yield self.parameters
            products = torch.zeros(2, dtype=torch.float64)
            for parameter, original, start in zip(self._parameters, originals, self._starts[:-1], strict=True):
                products += _write_back(parameter.data, original, rounding, start=start, measure=measure)
            if measure:
                self.gain = (products[0] / products[1]).item() if products[1] else None
        finally:
            for parameter, original in zip(self._parameters, originals, strict=True):
                parameter.grad = None
                parameter.data = original

    def sha256(self) -> str:
        """Return the digest of θ in its own dtype."""
        return digest(self._parameters)

    def release(self) -> None:
        """Do nothing: streamed parameters are plain ones already."""

    def _moved(self, before: Tensor, slot: int, start: int, terms: Sequence[LazyShift], decay: float) -> Tensor:
        moved = before * (1.0 - decay) if decay else before.clone()
        for term in terms:
            moved.sub_(term.values(slot, start=start, size=len(moved)), alpha=term.scales[slot])
        return moved

    def _warn_of_unread(self) -> None:
        if self._unread:
            shapes = [tuple(self._parameters[slot].shape) for slot in sorted(self._unread)]
            warnings.warn(
                f"{len(shapes)} trainable parameters were not read by the loss (shapes {shapes[:5]}): their updates are noise; freeze them "
                "(requires_grad_(False)) or, if a compiled or custom kernel reads them, use fp32 parameters with streamed=False",
                stacklevel=4,
            )


class _PerturbationMode(TorchFunctionMode):
    """Gives every operation perturbed parameters. Torch switches a mode off inside its own handler, so nothing is perturbed twice."""

    def __init__(self, storage: StreamedParameters) -> None:
        super().__init__()
        self._storage = storage
        self._sign = 0
        self._shift: LazyShift | None = None

    def set_shift(self, sign: int, shift: Shift) -> None:
        """Set the shift at which the parameters are read from now on."""
        assert isinstance(shift, LazyShift), "streamed parameters are shifted by a LazyShift"
        self._sign, self._shift = sign, shift

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call an operation with perturbed parameters in place of its own."""
        kwargs = kwargs or {}
        if not self._sign or not self._reads_one(args, kwargs.values()) or _name(func) in METADATA_OPERATIONS:
            return func(*args, **kwargs)
        if func is F.linear and self._storage.slot(args[1] if len(args) > 1 else kwargs["weight"]) is not None:
            return self._linear(*args, **kwargs)
        if func is F.embedding and self._is_plain_lookup(*args, **kwargs):
            return self._lookup(*args, **kwargs)
        return func(*map(self._at_shift, args), **{name: self._at_shift(value) for name, value in kwargs.items()})

    def _reads_one(self, *values: Iterable[Any]) -> bool:
        return any(self._reads_one(value) if isinstance(value, list | tuple) else self._storage.slot(value) is not None for value in itertools.chain(*values))

    def _at_shift(self, value: Any) -> Any:
        """Return the value with every parameter in it perturbed."""
        if isinstance(value, list | tuple):
            return type(value)(map(self._at_shift, value)) if type(value) in (list, tuple) else value
        slot = self._storage.slot(value)
        return value if slot is None else self._storage.perturbed(slot, sign=self._sign, shift=self._known_shift())

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        slot = self._storage.slot(weight)
        assert slot is not None
        rows = max(1, LINEAR_BLOCK // weight.shape[1])
        bias = self._at_shift(bias)
        if rows >= len(weight):
            return F.linear(self._at_shift(input), self._at_shift(weight), bias)
        output = input.new_empty(*input.shape[:-1], len(weight))
        for start in range(0, len(weight), rows):
            part = slice(start, min(start + rows, len(weight)))
            block = self._storage.perturbed(slot, sign=self._sign, shift=self._known_shift(), rows=part)
            output[..., part] = F.linear(input, block, None if bias is None else bias[part])
        return output

    def _is_plain_lookup(
        self,
        input: Tensor,
        weight: Tensor,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> bool:
        return max_norm is None and self._storage.slot(weight) is not None

    def _lookup(self, input: Tensor, weight: Tensor, *_: object, **__: object) -> Tensor:
        slot = self._storage.slot(weight)
        assert slot is not None
        return self._storage.perturbed_rows(slot, input, sign=self._sign, shift=self._known_shift())

    def _known_shift(self) -> LazyShift:
        assert self._shift is not None
        return self._shift


def _name(func: Callable[..., Any]) -> str:
    """Return the name of an operation; of a property, the property's."""
    owner = getattr(func, "__self__", None)
    return owner.__name__ if func.__name__ == "__get__" and owner is not None else func.__name__


def _blocks(one: Tensor, other: Tensor) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Yield both tensors' values in flat blocks, as views, with their start index."""
    first, second = one.view(-1), other.reshape(-1)
    for start in range(0, len(first), BLOCK):
        yield first[start : start + BLOCK], second[start : start + BLOCK], start


def _write_back(wanted: Tensor, weights: Tensor, rounding: Direction, *, start: int, measure: bool) -> Tensor:
    """Write fp32 values into weights, bf16 rounded, block by block; returns the sums of `overlap` if they are to be measured, else zeros."""
    products = torch.zeros(2, dtype=torch.float64)
    for block, values, first in _blocks(weights, wanted):
        before = block.to(torch.float32, copy=True) if measure else block
        block.copy_(values if block.dtype == torch.float32 else rounded(values, rounding, start=start + first))
        if measure:
            products += overlap(values - before, block.float() - before)
    return products
