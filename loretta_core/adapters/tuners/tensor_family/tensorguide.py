"""TensorGuide: both factors of a low-rank update from one tensor train (arXiv 2506.16456).

    y = W x + b + (lora_alpha / r) * B A dropout(x)        A (r x in) and B (out x r) are the two halves of one train

The first mode of the train has two values and says which of the factors a slice belongs to; the other modes are those of the wider side, then those of r, and
the narrower factor uses the first of its rows. The slice of B starts at zero, so the update does. Merging is exact.

Taken from the paper: A and B are generated together by one train instead of two. Ours: the layout above, in which all cores but the first are shared, and no
Gaussian noise as the train's input, which the paper has and whose dimensions its abstract does not give.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from loretta_core.adapters.field_checks import checked, flag, positive, probability, whole
from loretta_core.adapters.io.peft_registry import peft_type, register
from loretta_core.adapters.tuners.base_configs import TargetedConfig
from loretta_core.adapters.tuners.linear_tuner import LinearTuner
from loretta_core.adapters.tuners.tensor_family.additive_layer import AdditiveLayer, MatrixUpdate
from loretta_core.tt import ops
from loretta_core.tt.linear import TTLinear
from loretta_core.tt.shapes import joint_modes


@dataclass
class TensorGuideConfig(TargetedConfig):
    """PEFT config of the type TENSORGUIDE."""

    train_norms: bool = field(default=False, metadata=checked(flag, "Train every LayerNorm and RMSNorm as well."))
    tensor_rank: int = field(default=5, metadata=checked(whole(1), "Rank of the tensor-train cores."))
    r: int = field(default=8, metadata=checked(whole(1), "Width between the two factors."))
    lora_alpha: float = field(default=16.0, metadata=checked(positive, "The update is scaled by lora_alpha / r."))
    dropout: float = field(default=0.0, metadata=checked(probability, "Dropout on the update's input."))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("TENSORGUIDE")


class JointLowRank(MatrixUpdate):
    """The update of one layer, x → scaling * B A dropout(x)."""

    def __init__(self, *, in_features: int, out_features: int, config: TensorGuideConfig) -> None:
        super().__init__()
        self.in_features, self.out_features, self.r = in_features, out_features, config.r
        self.scaling = config.lora_alpha / config.r
        self.dropout = nn.Dropout(config.dropout)
        modes, rows, columns = joint_modes(max(in_features, out_features), config.r)
        self.tensor = TTLinear(2 * rows, columns, rank=config.tensor_rank, shape=modes, bias=False)
        with torch.no_grad():
            self.tensor.cores[0][:, 1].zero_()

    def factors(self) -> ops.Factors:
        """Return the two matrices (Aᵀ_IR, Bᵀ_RO) that x goes through."""
        both = self.tensor.to_dense()[: self.r]
        rows = both.shape[1] // 2
        return both[:, : self.in_features].t(), both[:, rows : rows + self.out_features]

    def forward(self, x: Tensor) -> Tensor:
        return self.scaling * ops.apply_factors(self.dropout(x), self.factors(), bias=None)

    def delta_weight(self) -> Tensor:
        left_IR, right_RO = self.factors()
        return self.scaling * (left_IR @ right_RO).t()


class TensorGuideLayer(AdditiveLayer):
    """A linear layer with updates whose factors come from one train."""

    adapter_layer_names = ("tensorguide_block",)


class TensorGuideModel(LinearTuner[TensorGuideConfig, TensorGuideLayer]):
    """The tuner that `get_peft_model` makes for TensorGuideConfig."""

    method = "tensorguide"
    prefix = "tensorguide_"

    def make_layer(self, config: TensorGuideConfig, base_layer: nn.Module, path: str) -> TensorGuideLayer:
        return TensorGuideLayer(base_layer)

    def make_block(self, config: TensorGuideConfig, layer: TensorGuideLayer) -> nn.Module:
        return JointLowRank(in_features=layer.in_features, out_features=layer.out_features, config=config)


register(name="tensorguide", config_cls=TensorGuideConfig, model_cls=TensorGuideModel)
