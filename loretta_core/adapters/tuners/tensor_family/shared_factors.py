"""Base of methods whose layers share tensors: one adapter is a few tensors for the whole model, and every layer reads its own two factors from them.

    y = W x + b + scaling * (dropout(x) L) R               L (in x r) and R (r x out) are computed from the shared tensors, by the layer's place

The shared tensors are parameters of one module (`SharedFactors`). It belongs to the block of the first layer, under the tuner's prefix, and is saved there,
once; the blocks of the others point to it without owning it. So each adapter brings its own, switching and merging need no further bookkeeping, and what loads
an adapter layer by layer (transformers' own `load_adapter`) loads these as well. PEFT's VeRA keeps its shared matrices at the tuner, where that loading
does not look.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from loretta_core.adapters.common.layer_choice import check_choice_is_met
from loretta_core.adapters.tuners.adapter_layer import linear_size
from loretta_core.adapters.tuners.base_configs import TargetedConfig
from loretta_core.adapters.tuners.linear_tuner import LinearTuner, linear_paths
from loretta_core.adapters.tuners.tensor_family.additive_layer import AdditiveLayer, MatrixUpdate
from loretta_core.errors import MethodError
from loretta_core.methods.grid import AttachedLayer
from loretta_core.tt import ops


class SharedFactors(nn.Module):
    """The tensors of one adapter. Abstract: a subclass computes the factors of a layer."""

    @abstractmethod
    def factors(self, path: str) -> ops.Factors:
        """Return (L_IR, R_RO) of the layer at `path`."""

    def forward(self, x: Tensor, path: str) -> Tensor:
        """Return x L R. x: (..., in_features) in the dtype of the tensors."""
        factors = tuple(matrix.to(x.device) for matrix in self.factors(path))  # with a device map, the first layer may be elsewhere
        return ops.apply_factors(x, factors, bias=None)


class SharedUpdate(MatrixUpdate):
    """The update of one layer, x → scaling * dropout(x) L R; `owned` by it or by another layer's block, which holds the tensors."""

    def __init__(self, tensors: SharedFactors, *, owned: bool, path: str, scaling: float, dropout: float) -> None:
        super().__init__()
        self.tensors = tensors if owned else None
        self._reference = (tensors,)  # in a tuple, so that it is not a child of this module
        self.path, self.scaling = path, scaling
        self.dropout = nn.Dropout(dropout)

    @property
    def shared(self) -> SharedFactors:
        """The tensors, owned or not."""
        return self._reference[0]

    def forward(self, x: Tensor) -> Tensor:
        return self.scaling * self.shared(self.dropout(x), self.path)

    def update(self, x: Tensor) -> Tensor:
        return self(x.to(next(self.shared.parameters()).dtype)).to(x.dtype)

    def delta_weight(self) -> Tensor:
        left_IR, right_RO = self.shared.factors(self.path)
        return self.scaling * (left_IR @ right_RO).t()


class SharedLayer(AdditiveLayer):
    """A linear layer with updates from shared tensors. Abstract: a subclass names its container."""

    def __init__(self, base_layer: nn.Module, path: str) -> None:
        super().__init__(base_layer)
        self.path = path


@dataclass
class _Injection:
    """An adapter that is being injected."""

    attached: Sequence[AttachedLayer]
    tensors: SharedFactors | None = None
    """Made with the first block."""


ConfigT = TypeVar("ConfigT", bound=TargetedConfig)
LayerT = TypeVar("LayerT", bound=SharedLayer)


class SharedTuner(LinearTuner[ConfigT, LayerT]):
    """Base of the tuners of such methods. Abstract: a subclass adds `make_layer`, `make_tensors`, `scaling` and `dropout`."""

    _injection: _Injection | None = None

    @abstractmethod
    def make_tensors(self, config: ConfigT, attached: Sequence[AttachedLayer]) -> SharedFactors:
        """Return the tensors that all layers of `attached` share. Raises MethodError for a layer that has no place in them."""

    @abstractmethod
    def scaling(self, config: ConfigT) -> float:
        """Return the factor on every update."""

    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, Tensor] | None = None,
    ) -> None:
        try:
            super().inject_adapter(model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage, state_dict)
        finally:
            self._injection = None

    def _try_blocks(self, config: ConfigT, model: nn.Module) -> None:
        self._injection = _Injection([AttachedLayer(path, *linear_size(base)) for path, base in self.targeted(config, model)])
        paths = [layer.path for layer in self._injection.attached]
        check_choice_is_met(config, paths, linear_paths=linear_paths(model), method=self.method)
        with torch.device("meta"):
            self.make_tensors(config, self._injection.attached)

    def make_block(self, config: Any, layer: LayerT) -> nn.Module:
        injection = self._injection
        assert injection is not None
        owned = injection.tensors is None
        if injection.tensors is None:
            injection.tensors = self.make_tensors(config, injection.attached)
        return SharedUpdate(injection.tensors, owned=owned, path=layer.path, scaling=self.scaling(config), dropout=config.dropout)

    def tensors_of(self, adapter: str) -> SharedFactors:
        """Return the shared tensors of an adapter. Raises MethodError if there is no such adapter."""
        for module in self.model.modules():
            if isinstance(module, SharedLayer) and adapter in module.blocks:
                block = module.blocks[adapter]
                assert isinstance(block, SharedUpdate)
                return block.shared
        raise MethodError(f"{self.method}: no adapter {adapter!r}; there are: {', '.join(self.peft_config)}")
