"""Live tensor bytes, counted: every storage that an operation returns is noted when it appears and struck off when it is freed."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class Live(TorchDispatchMode):
    """Within the context: `now` and `peak` bytes of the storages made there, and of those given to `note`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: dict[int, weakref.ref[Any]] = {}

    def note(self, tensors: Iterable[object]) -> None:
        """Count the storages of tensors, each once."""
        for tensor in tensors:
            if isinstance(tensor, Tensor) and hasattr(tensor, "__tensor_flatten__"):  # a quantized weight is a shell around others
                self.note(getattr(tensor, name) for name in tensor.__tensor_flatten__()[0])
            elif isinstance(tensor, Tensor) and not tensor.is_meta:
                self._add(tensor.untyped_storage())

    def reset_peak(self) -> None:
        """Set the peak to the present count."""
        self.peak = self.now

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        size = storage.nbytes()
        self._seen[key] = weakref.ref(storage, lambda _: self._remove(key, size))
        self.now += size
        self.peak = max(self.peak, self.now)

    def _remove(self, key: int, size: int) -> None:
        if self._seen.pop(key, None) is not None:
            self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.note(tree_iter(out))
        return out
