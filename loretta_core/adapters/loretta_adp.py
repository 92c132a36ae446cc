"""LoRETTA_adp: bottleneck adapters whose two matrices are tensor trains (arXiv 2402.11417, section 3.2).

    a(x) = scaling * up(act(down(dropout(x))))        down = TT(h -> b) + bias,  up = TT(b -> h) + bias

Unlike the authors' code the model starts exactly as its base: the last core of `up` and its bias are zero. Such an adapter has a non-linearity and cannot
be merged into the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from loretta_core.adapters.adapter_tuner import AdapterTuner
from loretta_core.adapters.block import Bottleneck, BottleneckLayer
from loretta_core.adapters.config import AdapterConfig
from loretta_core.adapters.registry import peft_type, register
from loretta_core.tt.linear import TTLinear
from loretta_core.tt.shapes import mirrored


@dataclass
class LorettaAdpConfig(AdapterConfig):
    """Settings of LORETTA_ADP."""

    tensor_rank: int = field(default=5, metadata={"help": "Rank of the tensor-train cores."})
    shape: str | list[int] = field(default="auto", metadata={"help": "How widths factor into modes: 'auto', or the modes of `down` (`up` mirrors them)."})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("LORETTA_ADP")


class LorettaAdpLayer(BottleneckLayer):
    """A linear layer with tensorized bottlenecks."""

    adapter_layer_names = ("loretta_adp_block",)


class LorettaAdpModel(AdapterTuner[LorettaAdpConfig]):
    """The tuner; `get_peft_model` makes it."""

    method = "loretta_adp"
    prefix = "loretta_adp_"
    layer_cls = LorettaAdpLayer

    def make_block(self, config: LorettaAdpConfig, layer: BottleneckLayer) -> nn.Module:
        down = TTLinear(layer.width, config.bottleneck_size, rank=config.tensor_rank, shape=config.shape)
        up = TTLinear(config.bottleneck_size, layer.width, rank=config.tensor_rank, shape=mirrored(config.shape), zero_init=True)
        return Bottleneck(down=down, up=up, non_linearity=config.non_linearity, adapter_dropout=config.adapter_dropout, scaling=config.scaling)


register(name="loretta_adp", config_cls=LorettaAdpConfig, model_cls=LorettaAdpModel)
