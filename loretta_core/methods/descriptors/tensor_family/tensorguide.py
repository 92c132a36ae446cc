"""The method `tensorguide`. Its tensors: `loretta_core/adapters/tuners/tensor_family/tensorguide.py`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loretta_core.methods.base import Method
from loretta_core.methods.fields import Targets
from loretta_core.methods.formulas import FP32
from loretta_core.methods.ranges import FAMILY_RANGE, LearningRates
from loretta_core.sites import Side
from loretta_core.tt.shapes import joint_modes, tt_parameter_count


class TensorGuide(Method):
    """TensorGuide: a low-rank weight update whose two factors come from one tensor train (arXiv 2506.16456), without the paper's noise input."""

    type: Literal["tensorguide"]
    tensor_rank: int = Field(5, ge=1)
    """Rank of the tensor-train cores."""
    r: int = Field(8, ge=1)
    """Width between the two factors."""
    lora_alpha: float = Field(16.0, gt=0)
    """The update is scaled by lora_alpha / r."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout on the update's input."""
    target_modules: Targets | None = None
    """Names of the linear layers that get an update; None takes the table for the model's architecture."""
    train_norms: bool = False
    """Train LayerNorm/RMSNorm weights too."""

    explanation = "a low-rank update of some matrices with both factors from one tensor train"
    learning_rates = LearningRates(FAMILY_RANGE)
    peft_config = "loretta_core.adapters.tuners.tensor_family.tensorguide:TensorGuideConfig"
    peft_name = "TENSORGUIDE"
    attachment = "weights"
    injects_on_meta = True
    tensor_trains = True

    @property
    def targets(self) -> list[str] | None:
        return self.target_modules

    @property
    def norms_train(self) -> bool:
        return self.train_norms

    def parameters_at(self, *, in_features: int, out_features: int, on_input: bool) -> int:
        modes, rows, columns = joint_modes(max(in_features, out_features), self.r)
        return tt_parameter_count(2 * rows, columns, rank=self.tensor_rank, shape=modes)

    def activation_bytes(self, *, out_features: int, side: Side, base_bytes: int) -> int:
        return FP32 * self.r
