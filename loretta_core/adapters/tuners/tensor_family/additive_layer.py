"""A linear layer with an update beside it, y = W x + b + Σ update(x), where the update is a matrix: it merges exactly.

A block of such a layer computes its update in fp32 and can say which matrix it is.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from loretta_core.adapters.tuners.adapter_layer import AdapterLayer, run_block


class MatrixUpdate(nn.Module):
    """The update of one layer by one adapter. Abstract: a subclass computes it (`forward`) and returns it as a matrix."""

    def update(self, x: Tensor) -> Tensor:
        """Return what is added to the layer's output. x: (..., in_features) in any dtype; the result: (..., out_features) in that."""
        return run_block(self, x)

    @abstractmethod
    def delta_weight(self) -> Tensor:
        """Return the update as a matrix (out_features, in_features), the layout of `nn.Linear.weight`, in fp32."""


class AdditiveLayer(AdapterLayer):
    """A linear layer with updates. Abstract: a subclass names its container."""

    def adapted(self, x: Tensor, blocks: list[nn.Module]) -> Tensor:
        y = self.base_layer(x)
        for block in blocks:
            assert isinstance(block, MatrixUpdate)
            y = y + block.update(x)
        return y

    def merged_state(self, block: nn.Module) -> dict[str, Tensor]:
        return {"weight": self.get_base_weight().float() + self._in_layout_of_base(block)}

    def get_delta_weight(self, adapter: str) -> Tensor:
        """Return the update of `adapter` in the layout of the base layer's weight. PEFT's name: `peft.convert_to_lora` asks for it."""
        return self._in_layout_of_base(self.blocks[adapter])

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """Return True: the update is a matrix that is added to the weight."""
        return True

    def _in_layout_of_base(self, block: nn.Module) -> Tensor:
        assert isinstance(block, MatrixUpdate)
        delta_OI = block.delta_weight().float()
        return delta_OI.t() if isinstance(self.get_base_layer(), Conv1D) else delta_OI
