"""LoRTA: the updates of all attention matrices of the model as one tensor of low CP rank (arXiv 2410.04060).

    ΔW[layer, matrix, head] = (lora_alpha / r) * A diag(C_layer ∘ C_matrix ∘ C_head) Bᵀ

A (width x r) and B (head width x r) are common to all, C has one row of r numbers for each layer, each matrix and each head. The columns of an update are the
heads of queries, keys and values; of the output projection they are its inputs, so its update is transposed. Parameters: r (width + head width + layers +
matrices + heads). Merging is exact.

Taken from the paper: the five-way CP model and its count. Ours: B starts at zero, A normal with variance 1 / width, C at one; matrices of different widths
have an A each; grouped keys and values use the first rows of the heads' C; queries, keys and values in one matrix are three times as many heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from peft.tuners.tuners_utils import BaseTuner
from torch import nn

from loretta_core.adapters.field_checks import checked, flag, positive, probability, whole, whole_or_none
from loretta_core.adapters.io.peft_registry import peft_type, register
from loretta_core.adapters.tuners.base_configs import TargetedConfig
from loretta_core.adapters.tuners.tensor_family.shared_factors import SharedFactors, SharedLayer, SharedTuner
from loretta_core.methods.grid import AttachedLayer, head_width, layer_grid, split_heads
from loretta_core.tt import ops


@dataclass
class LortaConfig(TargetedConfig):
    """PEFT config of the type LORTA."""

    train_norms: bool = field(default=False, metadata=checked(flag, "Train every LayerNorm and RMSNorm as well."))
    r: int = field(default=8, metadata=checked(whole(1), "CP rank."))
    lora_alpha: float = field(default=16.0, metadata=checked(positive, "The update is scaled by lora_alpha / r."))
    dropout: float = field(default=0.0, metadata=checked(probability, "Dropout on the update's input."))
    head_width: int | None = field(default=None, metadata=checked(whole_or_none(1), "Width of one attention head; None takes the model's."))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("LORTA")


class GlobalCP(SharedFactors):
    """The factors of one adapter: `widths` (A, by width), `head` (B), and the rows of C for `layers`, `matrices` and `heads`."""

    def __init__(self, attached: Sequence[AttachedLayer], *, r: int, head_width: int | None) -> None:
        super().__init__()
        grid = layer_grid(attached)
        splits = {layer.path: split_heads(layer, head_width=head_width) for layer in attached}
        self._places = {path: (*grid.place(path), split) for path, split in splits.items()}
        assert head_width is not None  # or no layer could have been split
        widths = dict.fromkeys(split.width for split in splits.values())
        self.widths = nn.ParameterDict({str(width): torch.randn(width, r) / width**0.5 for width in widths})
        self.head = nn.Parameter(torch.zeros(head_width, r))
        self.heads = nn.Parameter(torch.ones(max(split.heads for split in splits.values()), r))
        self.layers = nn.Parameter(torch.ones(len(grid.blocks), r))
        self.matrices = nn.Parameter(torch.ones(len(grid.matrices), r))

    def factors(self, path: str) -> ops.Factors:
        """Return the factors of the layer at `path`: A and the heads' side, or the other way round where the heads are the input."""
        layer, matrix, split = self._places[path]
        rows_HR = self.heads[: split.heads] * (self.layers[layer] * self.matrices[matrix])
        side_SR = (rows_HR[:, None] * self.head).flatten(0, 1)
        a_WR = self.widths[str(split.width)]
        return (side_SR, a_WR.t()) if split.on_input else (a_WR, side_SR.t())


class LortaLayer(SharedLayer):
    """A linear layer with updates from CP factors of the whole model."""

    adapter_layer_names = ("lorta_block",)


class LortaModel(SharedTuner[LortaConfig, LortaLayer]):
    """The tuner that `get_peft_model` makes for LortaConfig."""

    method = "lorta"
    prefix = "lorta_"

    def make_layer(self, config: LortaConfig, base_layer: nn.Module, path: str) -> LortaLayer:
        return LortaLayer(base_layer, path)

    def make_tensors(self, config: LortaConfig, attached: Sequence[AttachedLayer]) -> GlobalCP:
        return GlobalCP(attached, r=config.r, head_width=config.head_width or head_width(BaseTuner.get_model_config(self.model)))

    def scaling(self, config: LortaConfig) -> float:
        return config.lora_alpha / config.r


register(name="lorta", config_cls=LortaConfig, model_cls=LortaModel)
