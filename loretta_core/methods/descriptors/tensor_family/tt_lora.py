"""The method `tt_lora`. Its tensors: `loretta_core/adapters/tuners/tensor_family/tt_lora.py`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loretta_core.methods.base import Method
from loretta_core.methods.fields import Modes, Targets
from loretta_core.methods.formulas import FP32
from loretta_core.methods.ranges import FAMILY_RANGE, LearningRates
from loretta_core.sites import Side
from loretta_core.tt.shapes import tt_parameter_count


class TTLora(Method):
    """TT-LoRA: a weight update that is itself one tensor train (arXiv 2408.01008)."""

    type: Literal["tt_lora"]
    tensor_rank: int = Field(5, ge=1)
    """Rank of the tensor-train cores."""
    alpha: float = Field(4.0, gt=0)
    """Factor on the update."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Dropout on the update's input."""
    shape: Modes = "auto"
    """How widths are factored into tensor modes: `auto` works for any width and caps the ranks, a list gives the modes of in_features x out_features."""
    target_modules: Targets | None = None
    """Names of the linear layers that get an update; None takes the table for the model's architecture."""
    train_norms: bool = False
    """Train LayerNorm/RMSNorm weights too."""
    init_weights: Literal["zero", "tt_svd"] = "zero"
    """How the update starts at nothing: `zero` in its last core, or as the train that TT-SVD finds for the pre-trained weight, less itself (DoTA,
    arXiv 2412.20891); then the start is saved with the adapter."""

    explanation = "a change of some matrices that is one tensor train, or one train for all of them"
    learning_rates = LearningRates(FAMILY_RANGE)
    peft_config = "loretta_core.adapters.tuners.tensor_family.tt_lora:TTLoraConfig"
    peft_name = "TT_LORA"
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
        return tt_parameter_count(in_features, out_features, rank=self.tensor_rank, shape=self.shape)

    def activation_bytes(self, *, out_features: int, side: Side, base_bytes: int) -> int:
        return FP32 * self.tensor_rank
