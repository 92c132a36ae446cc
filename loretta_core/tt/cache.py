"""A cache of what a product needs of a tensor train (two thin halves, or the rebuilt matrix), between forward passes that cannot train it.

Making it is most of the time of a layer that generates one token. It is kept only in eval mode, without gradients and outside torch.compile, and used again
only while the cores are what they were: the same parameters at the same address, and on the CPU the same bytes. The bytes decide because a write through
`.data` (every zeroth-order probe is one) moves no version counter. Elsewhere reading them would wait for the device, so there the version counters must do,
and only frozen cores (`requires_grad=False`, as `PeftModel.from_pretrained` leaves them) are cached at all.

Memory: the halves are as small as the activations of a few tokens; a matrix that can only be rebuilt (misaligned "paper" shapes) costs in * out numbers per
layer while it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import is_

import torch
from torch import Tensor, nn

from loretta_core.tt import ops
from loretta_core.tt.shapes import TTShape

Cores = Sequence[Tensor]


@dataclass(slots=True)
class _Entry:
    cores: Cores
    aliases: Cores
    """They keep the storage alive, so that its address is not given to something else."""
    addresses: list[int]
    versions: list[int]
    readers: list[Callable[..., bytes]] | None
    """They copy the cores' memory, on the CPU; comparing bytes costs a tenth of comparing tensors."""
    content: list[bytes]
    factors: ops.Factors

    def matches(self, cores: Cores) -> bool:
        if not all(map(is_, self.cores, cores)) or [core.data_ptr() for core in cores] != self.addresses:
            return False
        if self.readers is None:
            return [core._version for core in cores] == self.versions and not any(core.requires_grad for core in cores)
        return [read() for read in self.readers] == self.content


class FactorCache:
    """Belongs to one layer; copies and pickles of it start empty."""

    def __init__(self) -> None:
        self._entry: _Entry | None = None

    def factors(self, cores: Cores, *, shape: TTShape, training: bool) -> ops.Factors:
        """Return `ops.factors(cores)`, from the cache where that is safe."""
        if training or torch.compiler.is_compiling() or _is_intercepted() or (torch.is_grad_enabled() and any(core.requires_grad for core in cores)):
            self._entry = None
            return ops.factors(cores, shape=shape)
        entry = self._entry
        if entry is None or not entry.matches(cores):
            if not all(map(_can_be_watched, cores)):
                return ops.factors(cores, shape=shape)
            # Inference tensors could not be saved for a later backward pass through x.
            with torch.inference_mode(mode=False), torch.no_grad():
                self._entry = entry = _make(cores, shape=shape)
        return entry.factors

    def __reduce__(self) -> tuple[type[FactorCache], tuple[()]]:
        return FactorCache, ()


def _is_intercepted() -> bool:
    """Return whether a function mode is active, which may give operations other values than the cores hold (`zo/parameters/streaming.py` does)."""
    return torch._C._len_torch_function_stack() > 0


def _can_be_watched(core: Tensor) -> bool:
    # torch.func substitutes tensors of its own for the parameters; their content cannot be looked at.
    if not isinstance(core, nn.Parameter) or core.is_inference() or core.is_meta or not core.is_contiguous():
        return False
    return core.device.type == "cpu" or not core.requires_grad


def _make(cores: Cores, *, shape: TTShape) -> _Entry:
    aliases = tuple(core.detach() for core in cores)
    readers = [alias.view(torch.uint8).numpy().tobytes for alias in aliases] if aliases[0].device.type == "cpu" else None
    return _Entry(
        cores=cores,
        aliases=aliases,
        addresses=[core.data_ptr() for core in cores],
        versions=[core._version for core in cores],
        readers=readers,
        content=[read() for read in readers or ()],
        factors=ops.factors(aliases, shape=shape),
    )
