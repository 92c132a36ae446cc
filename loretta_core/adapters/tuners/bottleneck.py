"""The dense baseline of loretta_adp: bottleneck adapters (Houlsby et al., arXiv 1902.00751) at the same sites, method name `adapters`.

a(x) = scaling * (W_up act(W_down dropout(x) + b_down) + b_up)        W_up and b_up start at zero
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from loretta_core.adapters.field_checks import checked, flag
from loretta_core.adapters.io.peft_registry import peft_type, register
from loretta_core.adapters.tuners.base_configs import BottleneckConfigBase
from loretta_core.adapters.tuners.bottleneck_base import Bottleneck, BottleneckLayer, BottleneckTuner, biases


@dataclass
class BottleneckConfig(BottleneckConfigBase):
    """PEFT config of the type BOTTLENECK."""

    train_norms: bool = field(default=False, metadata=checked(flag, "Train every LayerNorm and RMSNorm as well."))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("BOTTLENECK")


class DenseBottleneckLayer(BottleneckLayer):
    """A linear layer with dense bottlenecks."""

    adapter_layer_names = ("bottleneck_block",)


class BottleneckModel(BottleneckTuner[BottleneckConfig]):
    """The tuner that `get_peft_model` makes for BottleneckConfig."""

    method = "adapters"
    prefix = "bottleneck_"
    layer_cls = DenseBottleneckLayer

    def make_block(self, config: BottleneckConfig, layer: BottleneckLayer) -> nn.Module:
        down_bias, up_bias = biases(config.adapter_bias)
        down = nn.Linear(layer.width, config.bottleneck_size, bias=down_bias, dtype=torch.float32)
        up = nn.Linear(config.bottleneck_size, layer.width, bias=up_bias, dtype=torch.float32)
        for parameter in up.parameters():
            nn.init.zeros_(parameter)
        return Bottleneck(down=down, up=up, non_linearity=config.non_linearity, adapter_dropout=config.adapter_dropout, scaling=config.scaling)


register(name="bottleneck", config_cls=BottleneckConfig, model_cls=BottleneckModel)
