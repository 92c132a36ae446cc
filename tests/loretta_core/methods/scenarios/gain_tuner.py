"""The tensors of the made-up method `gain`. This is all that a new method's file in `adapters/tuners` is."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from loretta_core.adapters.io.peft_registry import peft_type, register
from loretta_core.adapters.tuners.adapter_layer import AdapterLayer, run_block
from loretta_core.adapters.tuners.base_configs import TargetedConfig
from loretta_core.adapters.tuners.linear_tuner import LinearTuner


@dataclass
class GainConfig(TargetedConfig):
    """PEFT config of the type GAIN."""

    train_norms: bool = field(default=False, metadata={"help": "Train every LayerNorm and RMSNorm as well."})
    start: float = field(default=0.0, metadata={"help": "Starting value of the gains."})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("GAIN")


class Gains(nn.Module):
    """y → g · y."""

    def __init__(self, width: int, *, start: float) -> None:
        super().__init__()
        self.g_O = nn.Parameter(torch.full((width,), start))

    def forward(self, y: Tensor) -> Tensor:
        return self.g_O * y


class GainLayer(AdapterLayer):
    """A linear layer with a gain on its output."""

    adapter_layer_names = ("gain_block",)

    def adapted(self, x: Tensor, blocks: list[nn.Module]) -> Tensor:
        y = self.base_layer(x)
        return y + sum(run_block(block, y) for block in blocks)


class GainModel(LinearTuner[GainConfig, GainLayer]):
    """The tuner that `get_peft_model` makes for GainConfig."""

    method = "gain"
    prefix = "gain_"

    def make_layer(self, config: GainConfig, base_layer: nn.Module, path: str) -> GainLayer:
        return GainLayer(base_layer)

    def make_block(self, config: GainConfig, layer: GainLayer) -> nn.Module:
        return Gains(layer.out_features, start=config.start)


register(name="gain", config_cls=GainConfig, model_cls=GainModel)
