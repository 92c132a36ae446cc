"""The two halves of a tensor train, kept between forward passes that cannot train it.

Building them costs about 0.04 ms per layer, which is most of the time of a layer that generates one token. They are kept only in eval mode, without
gradients and outside torch.compile, and used again only while the cores are what they were: same storage, same version counter and, on the CPU, same
content. The content counts because a write through `.data` (every zeroth-order probe is one) moves no counter. Elsewhere comparing it would wait for the
device, so there only frozen cores (`requires_grad=False`, as `PeftModel.from_pretrained` leaves them) are cached at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from loretta_core.tt import ops
from loretta_core.tt.shapes import TTShape


@dataclass
class _Entry:
    tensors: list[Tensor]
    """Aliases of the cores: their storage stays alive, so that its address is not given to another core."""
    versions: list[int]
    content: Tensor | None
    pair: ops.Halves


class HalvesCache:
    """Belongs to one layer; copies and pickles of it start empty."""

    def __init__(self) -> None:
        self._entry: _Entry | None = None

    def halves(self, cores: Sequence[Tensor], *, shape: TTShape, training: bool) -> ops.Halves:
        """As `ops.halves`; kept where that is safe."""
        if training or not _cacheable(cores):
            self._entry = None
            return ops.halves(cores, shape=shape)
        if self._entry is None or not _unchanged(self._entry, cores):
            # Inference tensors could not be saved for a later backward pass through x.
            with torch.inference_mode(mode=False), torch.no_grad():
                self._entry = _make(cores, shape=shape)
        return self._entry.pair

    def __reduce__(self) -> tuple[type[HalvesCache], tuple[()]]:
        return HalvesCache, ()


def _cacheable(cores: Sequence[Tensor]) -> bool:
    if torch.compiler.is_compiling():
        return False
    trains = any(core.requires_grad for core in cores)
    if trains and (torch.is_grad_enabled() or cores[0].device.type != "cpu"):
        return False
    # torch.func substitutes tensors of its own for the parameters; their content cannot be looked at.
    return all(isinstance(core, nn.Parameter) and not core.is_inference() and not core.is_meta for core in cores)


def _make(cores: Sequence[Tensor], *, shape: TTShape) -> _Entry:
    tensors = [core.detach() for core in cores]
    content = _flat(tensors) if tensors[0].device.type == "cpu" else None
    return _Entry(tensors, [core._version for core in cores], content, ops.halves(tensors, shape=shape))


def _unchanged(entry: _Entry, cores: Sequence[Tensor]) -> bool:
    same = all(
        core.data_ptr() == kept.data_ptr() and core._version == version and core.dtype == kept.dtype
        for core, kept, version in zip(cores, entry.tensors, entry.versions, strict=True)
    )
    return same and (entry.content is None or torch.equal(entry.content, _flat(cores)))


@torch.no_grad()
def _flat(cores: Sequence[Tensor]) -> Tensor:
    return torch.cat([core.reshape(-1) for core in cores])
