"""LoRETTA_adp: bottleneck adapters whose two matrices are tensor trains (arXiv 2402.11417, section 3.2).

    a(x) = scaling * up(act(down(dropout(x))))        down = TT(h -> b) + bias,  up = TT(b -> h) + bias

Unlike the authors' code the model starts exactly as its base: the last core of `up` and its bias are zero. Such an adapter has a non-linearity and cannot
be merged into the weights. Most of its parameters are not cores: of 768 x 64 at rank 5, 1,400 are, 832 are biases (`adapter_bias` selects them).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from loretta_core.adapters.io.peft_registry import peft_type, register
from loretta_core.adapters.tuners.base_configs import BottleneckConfigBase, TTConfig
from loretta_core.adapters.tuners.bottleneck_base import Bottleneck, BottleneckLayer, BottleneckTuner, biases
from loretta_core.tt.linear import TTLinear
from loretta_core.tt.shapes import mirrored


@dataclass
class LorettaAdpConfig(BottleneckConfigBase, TTConfig):
    """PEFT config of the type LORETTA_ADP."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("LORETTA_ADP")


class LorettaAdpLayer(BottleneckLayer):
    """A linear layer with tensorized bottlenecks."""

    adapter_layer_names = ("loretta_adp_block",)


class LorettaAdpModel(BottleneckTuner[LorettaAdpConfig]):
    """The tuner that `get_peft_model` makes for LorettaAdpConfig."""

    method = "loretta_adp"
    prefix = "loretta_adp_"
    layer_cls = LorettaAdpLayer

    def make_block(self, config: LorettaAdpConfig, layer: BottleneckLayer) -> nn.Module:
        width, middle, rank = layer.width, config.bottleneck_size, config.tensor_rank
        down_bias, up_bias = biases(config.adapter_bias)
        down = TTLinear(width, middle, rank=rank, shape=config.shape, bias=down_bias)
        up = TTLinear(middle, width, rank=rank, shape=mirrored(config.shape), bias=up_bias, zero_init=True)
        return Bottleneck(down=down, up=up, non_linearity=config.non_linearity, adapter_dropout=config.adapter_dropout, scaling=config.scaling)


register(name="loretta_adp", config_cls=LorettaAdpConfig, model_cls=LorettaAdpModel)
