"""TT-LoRA: the weight update itself is one tensor train (arXiv 2408.01008), and DoTA's start from the pre-trained weight (arXiv 2412.20891).

    y = W x + b + alpha * T dropout(x)                     T = TT(in -> out), no bias

Merging is exact: W + alpha * T. Two ways to start as the base does:

    init_weights = "zero"      the last core is zero
    init_weights = "tt_svd"    T starts as the train T0 that TT-SVD finds for W / alpha, and T0 is subtracted ever after: y = W x + b + alpha * (T - T0) x

The second is DoTA's W_res + T with W_res = W - T0, written so that the base's own weight stays what it was: T0 is a frozen copy, saved with the adapter, so
that a reloaded adapter is the same model on any machine.

Taken from the papers: the update as one train with a factor alpha; the start from a decomposition of W with a frozen residual. Ours: which widths factor into
which modes (`tt/shapes.py`); the input cores before the output cores, where DoTA's matrix product operator has an input and an output mode in every core; the
zero core, where the authors of TT-LoRA start at random.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from loretta_core.adapters.field_checks import checked, flag, one_of, own_modes, positive, probability, whole
from loretta_core.adapters.io.peft_registry import peft_type, register
from loretta_core.adapters.tuners.base_configs import TargetedConfig
from loretta_core.adapters.tuners.linear_tuner import LinearTuner
from loretta_core.adapters.tuners.tensor_family.additive_layer import AdditiveLayer, MatrixUpdate
from loretta_core.errors import MethodError
from loretta_core.tt.frozen import FrozenTT
from loretta_core.tt.linear import TTLinear


@dataclass
class TTLoraConfig(TargetedConfig):
    """PEFT config of the type TT_LORA."""

    train_norms: bool = field(default=False, metadata=checked(flag, "Train every LayerNorm and RMSNorm as well."))
    tensor_rank: int = field(default=5, metadata=checked(whole(1), "Rank of the tensor-train cores."))
    alpha: float = field(default=4.0, metadata=checked(positive, "Factor on the update."))
    dropout: float = field(default=0.0, metadata=checked(probability, "Dropout on the update's input."))
    shape: str | list[int] = field(default="auto", metadata=checked(own_modes, "How widths factor into modes: 'auto', or the modes of in x out."))
    init_weights: str = field(default="zero", metadata=checked(one_of("zero", "tt_svd"), "How the update starts at nothing: 'zero', or 'tt_svd' (DoTA)."))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("TT_LORA")


class TTUpdate(MatrixUpdate):
    """The update of one layer, x → alpha * T(dropout(x)), less its own start with `init_weights = "tt_svd"`."""

    def __init__(self, *, in_features: int, out_features: int, config: TTLoraConfig, weight_OI: Tensor) -> None:
        super().__init__()
        self.alpha = config.alpha
        self.dropout = nn.Dropout(config.dropout)
        self.tensor = TTLinear(in_features, out_features, rank=config.tensor_rank, shape=config.shape, bias=False, zero_init=config.init_weights == "zero")
        self.start = None
        if config.init_weights == "tt_svd":
            self._start_from(weight_OI)

    def _start_from(self, weight_OI: Tensor) -> None:
        shape = self.tensor.shape
        if weight_OI.shape != (shape.out_features, shape.in_features) or not weight_OI.is_floating_point():
            raise MethodError(
                "tt_lora: init_weights = 'tt_svd' decomposes the base's weights, and those of a quantized layer are not numbers to decompose; "
                "load the base in fp32 or bf16, or take init_weights = 'zero'"
            )
        if not (self.tensor.cores[0].is_meta or weight_OI.is_meta):  # without memory there is nothing to decompose; a saved start is filled in later
            self.tensor.set_dense_(weight_OI.float() / self.alpha)
        self.start = FrozenTT(self.tensor)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(x)
        y = self.tensor(x)
        if self.start is not None:
            y = y - self.start(x)
        return self.alpha * y

    def delta_weight(self) -> Tensor:
        delta_OI = self.tensor.to_dense()
        if self.start is not None:
            delta_OI = delta_OI - self.start.to_dense()
        return self.alpha * delta_OI


class TTLoraLayer(AdditiveLayer):
    """A linear layer with tensor-train updates."""

    adapter_layer_names = ("tt_lora_block",)


class TTLoraModel(LinearTuner[TTLoraConfig, TTLoraLayer]):
    """The tuner that `get_peft_model` makes for TTLoraConfig."""

    method = "tt_lora"
    prefix = "tt_lora_"

    def make_layer(self, config: TTLoraConfig, base_layer: nn.Module, path: str) -> TTLoraLayer:
        return TTLoraLayer(base_layer)

    def make_block(self, config: TTLoraConfig, layer: TTLoraLayer) -> nn.Module:
        with torch.no_grad():
            weight = layer.get_base_weight()
            weight_OI = weight.t() if isinstance(layer.get_base_layer(), Conv1D) else weight
            return TTUpdate(in_features=layer.in_features, out_features=layer.out_features, config=config, weight_OI=weight_OI)


register(name="tt_lora", config_cls=TTLoraConfig, model_cls=TTLoraModel)
