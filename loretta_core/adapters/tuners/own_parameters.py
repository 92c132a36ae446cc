"""The layer of adapters that train copies of a module's own parameters, norms and biases.

    w_active = w + Σ (wᵢ − w)        over the active adapters: each adds what it has changed

So the order of adapters does not matter, merging gives what the forward pass gives, and one adapter alone is used bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from loretta_core.adapters.tuners.adapter_layer import AdapterLayer


class OwnParametersLayer(AdapterLayer):
    """A layer whose blocks are fp32 copies of parameters of its module, under their own names. Abstract: a subclass runs the module with `summed` values."""

    def summed(self, blocks: Sequence[nn.Module]) -> dict[str, Tensor]:
        """Return the values, by name, that the active `blocks` (at least one) give together, in their dtype."""
        first, *others = [dict(block.named_parameters()) for block in blocks]
        if not others:
            return dict(first)
        # What a merge has written into the module is not its own.
        base = {name: self._base_state.get(name, parameter) for name, parameter in self.base_layer.named_parameters(recurse=False)}
        return {name: base[name] + sum(each[name] - base[name] for each in (first, *others)) for name in first}

    def merged_state(self, block: nn.Module) -> dict[str, Tensor]:
        return self.summed([*(self.blocks[name] for name in self.merged_adapters if name in self.blocks), block])
