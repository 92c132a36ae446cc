"""The layer that stands in for one module of the backbone and holds one small block per adapter.

PEFT's bookkeeping (active adapters, disabling, merging, deleting) in one place; a method adds only how a block enters the forward pass. Blocks are fp32
whatever the base is: activations are cast to the block's dtype and its result back.

State: <path>.<container>.<adapter name>.<block parameter>, e.g. `…output.dense.loretta_adp_block.default.down.cores.0`. Every container starts with the
tuner's prefix (`loretta_adp_`): that is how transformers knows the keys of a saved adapter.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from loretta_core.errors import MethodError

LINEAR = (nn.Linear, Conv1D)
"""GPT-2's Conv1D is a linear layer that stores its weight transposed."""


def linear_size(layer: nn.Module) -> tuple[int, int]:
    """Return (in_features, out_features) of a linear layer, `nn.Linear` or `Conv1D`."""
    if isinstance(layer, Conv1D):
        return layer.nx, layer.nf
    assert isinstance(layer, nn.Linear)
    return layer.in_features, layer.out_features


class AdapterLayer(nn.Module, BaseTunerLayer):
    """Base of our layers. Abstract: a subclass names its container in `adapter_layer_names` and says how blocks act."""

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer
        if isinstance(base_layer, LINEAR):
            self.in_features, self.out_features = linear_size(base_layer)
        self._disable_adapters = False
        self._active_adapter: str | list[str] = []
        self.merged_adapters: list[str] = []
        self._base_state: dict[str, Tensor] = {}
        setattr(self, self._container, nn.ModuleDict())

    @property
    def _container(self) -> str:
        return self.adapter_layer_names[0]

    @property
    def blocks(self) -> nn.ModuleDict:
        """The blocks by the name of their adapter."""
        return getattr(self, self._container)

    def add_block(self, name: str, block: nn.Module) -> None:
        """Add a block for the adapter `name`, on the base layer's device. It is not active yet."""
        parameters = list(block.parameters())
        # PEFT builds blocks without memory (meta) when it loads with low_cpu_mem_usage, and places them itself afterwards.
        on_meta = any(parameter.is_meta for parameter in parameters)
        self.blocks[name] = block if on_meta else block.to(next(self.base_layer.parameters()).device)

    def add_late_block(self, name: str, block: nn.Module, *, active: list[str], frozen: bool) -> None:
        """Add a block after PEFT has settled which adapters are active and what trains: nothing changes for the blocks that are there already."""
        self.add_block(name, block.requires_grad_(name in active and not frozen))
        self._active_adapter = list(active)

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: torch.device | None = None) -> None:
        # PEFT's own also casts to the base's dtype, which rounds what a bf16 model loads with low_cpu_mem_usage.
        if adapter_name in self.blocks:
            self.blocks[adapter_name].to(device or next(self.base_layer.parameters()).device)

    def forward(self, x: Tensor, *, adapter_names: list[str] | None = None) -> Tensor:
        """Run the layer with the active adapters or, where `adapter_names` says so, every row of `x` with its own."""
        if adapter_names is not None and not self.disable_adapters:
            return self._in_rows(x, adapter_names)
        blocks = self.acting_blocks()
        return self.adapted(x, blocks) if blocks else self.base_layer(x)

    def acting_blocks(self) -> list[nn.Module]:
        """Return the blocks that a forward pass adds to the base layer: those of the active adapters, none when they are disabled (or merged already)."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        return [] if self.disable_adapters or self.merged else [self.blocks[name] for name in self.active_adapters if name in self.blocks]

    def _in_rows(self, x: Tensor, names: list[str]) -> Tensor:
        """Return the output with row i under the adapter names[i] alone; under the base for a name without a block here, as with LoRA."""
        if self.merged:
            raise MethodError("adapter_names: there are merged adapters, call `unmerge_adapter` first")
        if len(names) != len(x):
            raise MethodError(f"adapter_names: {len(names)} names for a layer's input of {len(x)} rows; expected one name per row of the batch")
        rows = {name: [row for row, other in enumerate(names) if other == name] for name in dict.fromkeys(names)}
        parts = [self.adapted(x[some], [self.blocks[name]]) if name in self.blocks else self.base_layer(x[some]) for name, some in rows.items()]
        order = torch.tensor([row for some in rows.values() for row in some], device=x.device)
        return torch.cat(parts)[order.argsort()]

    @abstractmethod
    def adapted(self, x: Tensor, blocks: list[nn.Module]) -> Tensor:
        """Return the layer's output with `blocks` (at least one) active. x: (..., in_features) in the base's dtype; the result: (..., out_features) in that."""

    def merged_state(self, block: nn.Module) -> dict[str, Tensor]:
        """Return new values for the base layer's parameters, by name, with `block` folded in. Raises MethodError for methods that cannot be merged."""
        raise MethodError(f"{type(self).__name__} cannot be merged into its base layer")

    @torch.no_grad()
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Fold blocks into the base layer. The old values are kept, so that `unmerge` is exact and not a subtraction."""
        base_parameters = dict(self.base_layer.named_parameters())
        for name in check_adapters_to_merge(self, adapter_names):
            if name not in self.blocks:
                continue
            state = self.merged_state(self.blocks[name])
            if safe_merge and not all(torch.isfinite(value).all() for value in state.values()):
                raise MethodError(f"merging the adapter {name!r} gives values that are not finite; the adapter is broken")
            for key, value in state.items():
                self._base_state.setdefault(key, base_parameters[key].detach().clone())
                base_parameters[key].copy_(value)
            self.merged_adapters.append(name)

    @torch.no_grad()
    def unmerge(self) -> None:
        """Put the base layer's own values back."""
        base_parameters = dict(self.base_layer.named_parameters())
        for key, value in self._base_state.items():
            base_parameters[key].copy_(value)
        self._base_state = {}
        self.merged_adapters = []


def run_block(block: nn.Module, x: Tensor) -> Tensor:
    """Return block(x), computed in the block's dtype and converted to that of x."""
    dtype = next(block.parameters()).dtype
    return block(x.to(dtype)).to(x.dtype)
