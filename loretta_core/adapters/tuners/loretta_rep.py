"""LoRETTA_rep: a low-rank weight update whose two factors are tensor trains (arXiv 2402.11417, section 3.3).

    y = W x + b + (lora_alpha / r) * B(A(dropout(x)))        A = TT(in -> r), B = TT(r -> out), no biases

Two ranks: `r` is the width between A and B, `tensor_rank` that of the cores. Merging is exact: W + (lora_alpha / r) * B A. Two ways to start as the base does:

    init_weights = "zero"       the last core of B is zero
    init_weights = "subtract"   random cores, and what they give at the start is subtracted ever after: B(A(x)) - B0(A0(x))

The second is the paper's "noise reduction" in a form that works: the paper subtracts the mean of the rebuilt update, which is zero already, and its code
subtracts nothing. B0 and A0 are frozen copies, saved with the adapter, so that the base is untouched and a reloaded adapter is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from loretta_core.adapters.field_checks import checked, number, one_of, probability, whole
from loretta_core.adapters.io.peft_registry import peft_type, register
from loretta_core.adapters.tuners.adapter_layer import AdapterLayer, run_block
from loretta_core.adapters.tuners.base_configs import TTConfig
from loretta_core.adapters.tuners.linear_tuner import LinearTuner
from loretta_core.errors import MethodError
from loretta_core.tt.frozen import FrozenTT
from loretta_core.tt.linear import TTLinear
from loretta_core.tt.shapes import mirrored


@dataclass
class LorettaRepConfig(TTConfig):
    """PEFT config of the type LORETTA_REP."""

    r: int = field(default=8, metadata=checked(whole(1), "Width of the bottleneck between the two factors."))
    lora_alpha: float = field(default=16.0, metadata=checked(number("a positive number", lambda value: value > 0), "The update is scaled by lora_alpha / r."))
    lora_dropout: float = field(default=0.0, metadata=checked(probability, "Dropout on the update's input."))
    init_weights: str = field(default="zero", metadata=checked(one_of("zero", "subtract"), "How the update starts at nothing: 'zero' or 'subtract'."))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("LORETTA_REP")


class TTLowRank(nn.Module):
    """The update of one layer, x → scaling * B(A(dropout(x))), less its own start with `init_weights = "subtract"`."""

    def __init__(self, *, in_features: int, out_features: int, config: LorettaRepConfig) -> None:
        super().__init__()
        rank, subtracts = config.tensor_rank, config.init_weights == "subtract"
        self.A = TTLinear(in_features, config.r, rank=rank, shape=config.shape, bias=False)
        self.B = TTLinear(config.r, out_features, rank=rank, shape=mirrored(config.shape), bias=False, zero_init=not subtracts)
        self.dropout = nn.Dropout(config.lora_dropout)
        self.scaling = config.lora_alpha / config.r
        self.start_A = FrozenTT(self.A) if subtracts else None
        self.start_B = FrozenTT(self.B) if subtracts else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(x)
        y = self.B(self.A(x))
        if self.start_A is not None and self.start_B is not None:
            y = y - self.start_B(self.start_A(x))
        return self.scaling * y

    def delta_weight(self) -> Tensor:
        """Return the update as a matrix (out_features, in_features), the layout of `nn.Linear.weight`, in fp32."""
        product = self.B.to_dense() @ self.A.to_dense()
        if self.start_A is not None and self.start_B is not None:
            product = product - self.start_B.to_dense() @ self.start_A.to_dense()
        return self.scaling * product

    @torch.no_grad()
    def set_delta_(self, delta_OI: Tensor) -> float:
        """Set the factors to a given update (out_features, in_features): its best rank-r factors, each as its nearest train.

        Returns ‖delta - result‖ / ‖delta‖ (Frobenius). Raises MethodError with init_weights = "subtract".
        """
        if self.start_A is not None:
            raise MethodError("a warm start needs init_weights = 'zero'; with 'subtract' the update starts at nothing by construction")
        u, s, vh = torch.linalg.svd(delta_OI.double(), full_matrices=False)
        width = self.A.shape.out_features
        root = nn.functional.pad(s, (0, max(0, width - len(s))))[:width].sqrt()
        u, vh = _first(u, width, dim=1), _first(vh, width, dim=0)
        self.A.set_dense_((root[:, None] * vh).to(self.A.cores[0].dtype))
        self.B.set_dense_((u * root / self.scaling).to(self.B.cores[0].dtype))
        return float((self.delta_weight().double() - delta_OI).norm() / delta_OI.double().norm())


def _first(matrix: Tensor, count: int, *, dim: int) -> Tensor:
    """Return the first `count` columns (dim 1) or rows (dim 0), with zeros where there are fewer."""
    missing = max(0, count - matrix.shape[dim])
    return nn.functional.pad(matrix.narrow(dim, 0, count - missing), (0, missing) if dim == 1 else (0, 0, 0, missing))


class LorettaRepLayer(AdapterLayer):
    """A linear layer with tensorized low-rank updates."""

    adapter_layer_names = ("loretta_rep_block",)

    def adapted(self, x: Tensor, blocks: list[nn.Module]) -> Tensor:
        y = self.base_layer(x)
        for block in blocks:
            y = y + run_block(block, x)
        return y

    def merged_state(self, block: nn.Module) -> dict[str, Tensor]:
        assert isinstance(block, TTLowRank)
        delta_OI = block.delta_weight().float()
        base_weight = self.get_base_weight().float()
        return {"weight": base_weight + (delta_OI.t() if isinstance(self.get_base_layer(), Conv1D) else delta_OI)}


class LorettaRepModel(LinearTuner[LorettaRepConfig, "LorettaRepLayer"]):
    """The tuner that `get_peft_model` makes for LorettaRepConfig."""

    method = "loretta_rep"
    prefix = "loretta_rep_"

    def make_layer(self, config: LorettaRepConfig, base_layer: nn.Module, path: str) -> LorettaRepLayer:
        return LorettaRepLayer(base_layer)

    def make_block(self, config: LorettaRepConfig, layer: LorettaRepLayer) -> nn.Module:
        return TTLowRank(in_features=layer.in_features, out_features=layer.out_features, config=config)


register(name="loretta_rep", config_cls=LorettaRepConfig, model_cls=LorettaRepModel)
