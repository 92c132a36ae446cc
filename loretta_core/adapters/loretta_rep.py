"""LoRETTA_rep: a low-rank weight update whose two factors are tensor trains (arXiv 2402.11417, section 3.3).

    y = W x + b + (lora_alpha / r) * B(A(dropout(x)))        A = TT(in -> r), B = TT(r -> out), no biases

Two ranks: `r` is the width between A and B, `tensor_rank` that of the cores. The last core of B starts at zero, so the model starts exactly as its base;
the paper's "noise subtraction" does not achieve that (its reference code never contained it). Merging is exact: W + (lora_alpha / r) * B A.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from loretta_core.adapters.config import SiteConfig
from loretta_core.adapters.layer import AdapterLayer, run_block
from loretta_core.adapters.registry import peft_type, register
from loretta_core.adapters.tuner import SiteTuner
from loretta_core.errors import MethodError
from loretta_core.tt.linear import TTLinear
from loretta_core.tt.shapes import mirrored


@dataclass
class LorettaRepConfig(SiteConfig):
    """Settings of LORETTA_REP."""

    tensor_rank: int = field(default=5, metadata={"help": "Rank of the tensor-train cores."})
    r: int = field(default=8, metadata={"help": "Width of the bottleneck between the two factors."})
    lora_alpha: float = field(default=16.0, metadata={"help": "The update is scaled by lora_alpha / r."})
    lora_dropout: float = field(default=0.0, metadata={"help": "Dropout on the update's input."})
    shape: str | list[int] = field(default="auto", metadata={"help": "How widths factor into modes: 'auto', or the modes of A (B mirrors them)."})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("LORETTA_REP")


class TTLowRank(nn.Module):
    """scaling * B(A(dropout(x)))"""

    def __init__(self, *, in_features: int, out_features: int, config: LorettaRepConfig) -> None:
        super().__init__()
        self.A = TTLinear(in_features, config.r, rank=config.tensor_rank, shape=config.shape, bias=False)
        self.B = TTLinear(config.r, out_features, rank=config.tensor_rank, shape=mirrored(config.shape), bias=False, zero_init=True)
        self.dropout = nn.Dropout(config.lora_dropout)
        self.scaling = config.lora_alpha / config.r

    def forward(self, x: Tensor) -> Tensor:
        return self.scaling * self.B(self.A(self.dropout(x)))

    def delta_weight(self) -> Tensor:
        """The update as a matrix, in the layout of `nn.Linear.weight`."""
        return self.scaling * (self.B.to_dense() @ self.A.to_dense())


class LorettaRepLayer(AdapterLayer):
    """A linear layer with tensorized low-rank updates."""

    adapter_layer_names = ("loretta_rep_block",)

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__(base_layer)
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features

    def adapted(self, x: Tensor, blocks: list[nn.Module]) -> Tensor:
        y = self.base_layer(x)
        for block in blocks:
            y = y + run_block(block, x)
        return y

    def merged_state(self, block: nn.Module) -> dict[str, Tensor]:
        assert isinstance(block, TTLowRank)
        return {"weight": self.get_base_weight().float() + block.delta_weight().float()}


class LorettaRepModel(SiteTuner[LorettaRepConfig, "LorettaRepLayer"]):
    """The tuner; `get_peft_model` makes it."""

    method = "loretta_rep"
    prefix = "loretta_rep_"

    def make_layer(self, config: LorettaRepConfig, base_layer: nn.Linear, path: str) -> LorettaRepLayer:
        return LorettaRepLayer(base_layer)

    def make_block(self, config: LorettaRepConfig, layer: LorettaRepLayer) -> nn.Module:
        return TTLowRank(in_features=layer.in_features, out_features=layer.out_features, config=config)

    def _resolve_targets(self, config: LorettaRepConfig, model: nn.Module) -> None:
        if config.r < 1:
            raise MethodError(f"{self.method}: r = {config.r}; expected at least 1")
        super()._resolve_targets(config, model)


register(name="loretta_rep", config_cls=LorettaRepConfig, model_cls=LorettaRepModel)
