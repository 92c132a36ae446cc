"""Factors on the updates of a layer, one for each adapter, with the methods that LoRA's layers have for them."""

from __future__ import annotations

import math
from typing import Any

from torch import nn


def scaling_of(config: Any) -> float:
    """Return the factor that the settings of a layer give its update."""
    return config.lora_alpha / (math.sqrt(config.r) if config.use_rslora else config.r)


class ScaledBlock(nn.Module):
    """The update of one adapter with its factor, lora_alpha / r, or lora_alpha / sqrt(r) with `use_rslora`. Abstract: a subclass computes the update."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.initial_scaling = scaling_of(config)
        self.scaling = self.initial_scaling


class ScaledBlocks:
    """Part of a layer whose blocks are `ScaledBlock`s."""

    blocks: nn.ModuleDict
    active_adapters: list[str]

    @property
    def scaling(self) -> dict[str, float]:
        """The factor on the update of each adapter, as LoRA's layers have it; assigning a dict sets them."""
        return {name: block.scaling for name, block in self.updates().items()}

    @scaling.setter
    def scaling(self, factors: dict[str, float]) -> None:
        for name, factor in factors.items():
            self.updates()[name].scaling = factor

    def set_scale(self, adapter: str, scale: float | int) -> None:
        """Set the factor of `adapter` to `scale` times the one that its settings give; a layer without that adapter stays as it is."""
        for block in self.updates(adapter).values():
            block.scaling = scale * block.initial_scaling

    def scale_layer(self, scale: float | int) -> None:
        """Multiply the factor of every active adapter."""
        for block in self.updates(*self.active_adapters).values():
            block.scaling *= scale

    def unscale_layer(self, scale: float | int | None = None) -> None:
        """Divide the factor of every active adapter; None sets it to what its settings give."""
        for block in self.updates(*self.active_adapters).values():
            block.scaling = block.initial_scaling if scale is None else block.scaling / scale

    def updates(self, *adapters: str) -> dict[str, Any]:
        """Return the updates of `adapters` by name; of all without an argument."""
        return {name: block for name, block in self.blocks.items() if not adapters or name in adapters}
