"""The method `metatt`. Its tensors: `loretta_core/adapters/tuners/tensor_family/metatt.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from loretta_core.methods.base import Method
from loretta_core.methods.fields import Targets
from loretta_core.methods.formulas import FP32
from loretta_core.methods.grid import AttachedLayer, layer_grid
from loretta_core.methods.ranges import FAMILY_RANGE, LearningRates
from loretta_core.sites import Side


class MetaTT(Method):
    """MetaTT: one tensor train over the layers and matrices of the whole model (arXiv 2506.09105, four cores)."""

    type: Literal["metatt"]
    tensor_rank: int = Field(8, ge=1)
    """Rank of the train; `round_ranks` of the trained model lowers it."""
    alpha: float = Field(1.0, gt=0)
    """Factor on every update."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout on the update's input."""
    target_modules: Targets | None = None
    """Names of the linear layers that get an update; None takes the table for the model's architecture."""
    train_norms: bool = False
    """Train LayerNorm/RMSNorm weights too."""

    explanation = "a change of some matrices that is one tensor train, or one train for all of them"
    learning_rates = LearningRates(FAMILY_RANGE)
    peft_config = "loretta_core.adapters.tuners.tensor_family.metatt:MetaTTConfig"
    peft_name = "METATT"
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
        grid, rank = layer_grid(attached), self.tensor_rank
        return rank * (sum(grid.in_widths) + sum(grid.out_widths)) + rank**2 * (len(grid.blocks) + len(grid.matrices))

    def activation_bytes(self, *, out_features: int, side: Side, base_bytes: int) -> int:
        return FP32 * self.tensor_rank
