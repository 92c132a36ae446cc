"""The two halves of a tensor train, kept between forward passes that cannot train it.

Building them is most of the time of a layer that generates one token. They are kept only in eval mode, without gradients, function modes and torch.compile, and
used again only while the cores are what they were: same parameters, same storage, same version counters and, on the CPU, same bytes. The bytes count because a
write through `.data` (every zeroth-order probe is one) moves no counter. Elsewhere reading them would wait for the device, so there only frozen cores
(`requires_grad=False`, as `PeftModel.from_pretrained` leaves them) are cached at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import is_

import numpy as np
import torch
from torch import Tensor, nn

from loretta_core.tt import ops
from loretta_core.tt.shapes import TTShape


@dataclass(slots=True)
class _Entry:
    cores: Sequence[Tensor]
    aliases: list[Tensor]
    """They keep the storage alive, so that its address is not given to something else."""
    addresses: list[int]
    versions: list[int]
    views: list[np.ndarray] | None
    """The cores' memory, on the CPU; comparing bytes costs a tenth of comparing tensors."""
    content: list[bytes]
    pair: ops.Halves

    def matches(self, cores: Sequence[Tensor]) -> bool:
        if not all(map(is_, self.cores, cores)) or [core.data_ptr() for core in cores] != self.addresses or [core._version for core in cores] != self.versions:
            return False
        if self.views is None:
            return not any(core.requires_grad for core in cores)
        return [view.tobytes() for view in self.views] == self.content


class HalvesCache:
    """Belongs to one layer; copies and pickles of it start empty."""

    def __init__(self) -> None:
        self._entry: _Entry | None = None

    def halves(self, cores: Sequence[Tensor], *, shape: TTShape, training: bool) -> ops.Halves:
        """As `ops.halves`; kept where that is safe."""
        if training or torch.compiler.is_compiling() or _is_intercepted() or (torch.is_grad_enabled() and any(core.requires_grad for core in cores)):
            self._entry = None
            return ops.halves(cores, shape=shape)
        entry = self._entry
        if entry is None or not entry.matches(cores):
            if not all(map(_can_be_watched, cores)):
                return ops.halves(cores, shape=shape)
            # Inference tensors could not be saved for a later backward pass through x.
            with torch.inference_mode(mode=False), torch.no_grad():
                self._entry = entry = _make(cores, shape=shape)
        return entry.pair

    def __reduce__(self) -> tuple[type[HalvesCache], tuple[()]]:
        return HalvesCache, ()


def _is_intercepted() -> bool:
    """A function mode may give operations other values than the cores hold (zo/streaming.py does)."""
    return torch._C._len_torch_function_stack() > 0


def _can_be_watched(core: Tensor) -> bool:
    # torch.func substitutes tensors of its own for the parameters; their content cannot be looked at.
    if not isinstance(core, nn.Parameter) or core.is_inference() or core.is_meta or not core.is_contiguous():
        return False
    return core.device.type == "cpu" or not core.requires_grad


def _make(cores: Sequence[Tensor], *, shape: TTShape) -> _Entry:
    aliases = [core.detach() for core in cores]
    views = [alias.view(torch.uint8).numpy() for alias in aliases] if aliases[0].device.type == "cpu" else None
    return _Entry(
        cores=cores,
        aliases=aliases,
        addresses=[core.data_ptr() for core in cores],
        versions=[core._version for core in cores],
        views=views,
        content=[view.tobytes() for view in views or ()],
        pair=ops.halves(aliases, shape=shape),
    )
