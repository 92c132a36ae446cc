"""The method `lorta`. Its tensors: `loretta_core/adapters/tuners/tensor_family/lorta.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from loretta_core.methods.base import Method
from loretta_core.methods.fields import Targets
from loretta_core.methods.formulas import FP32
from loretta_core.methods.grid import AttachedLayer, layer_grid, split_heads
from loretta_core.methods.ranges import FAMILY_RANGE, LearningRates
from loretta_core.sites import Side


class Lorta(Method):
    """LoRTA: the updates of all attention matrices as one tensor of low CP rank over layers, matrices and heads (arXiv 2410.04060)."""

    type: Literal["lorta"]
    r: int = Field(8, ge=1)
    """CP rank."""
    lora_alpha: float = Field(16.0, gt=0)
    """The update is scaled by lora_alpha / r."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout on the update's input."""
    target_modules: Targets | None = None
    """Names of the projections that get an update (queries, keys, values, output; the paper: all four); None takes the table for the model's architecture."""
    head_width: int | None = Field(None, ge=1)
    """Width of one attention head; None takes the model's."""
    train_norms: bool = False
    """Train LayerNorm/RMSNorm weights too."""

    explanation = "a change of some matrices with factors that all layers, matrices and heads share"
    learning_rates = LearningRates(FAMILY_RANGE)
    peft_config = "loretta_core.adapters.tuners.tensor_family.lorta:LortaConfig"
    peft_name = "LORTA"
    attachment = "weights"
    injects_on_meta = True
    tensor_trains = True

    @property
    def targets(self) -> list[str] | None:
        return self.target_modules

    @property
    def norms_train(self) -> bool:
        return self.train_norms

    def parameters_shared(self, attached: Sequence[AttachedLayer], *, head_width: int | None) -> int:
        width = self.head_width or head_width
        splits = [split_heads(layer, head_width=width) for layer in attached]
        grid = layer_grid(attached)
        rows = sum({split.width for split in splits}) + (width or 0) + max((split.heads for split in splits), default=0)
        return self.r * (rows + len(grid.blocks) + len(grid.matrices))

    def activation_bytes(self, *, out_features: int, side: Side, base_bytes: int) -> int:
        return FP32 * self.r
