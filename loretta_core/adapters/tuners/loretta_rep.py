"""LoRETTA_rep: a low-rank weight update whose two factors are tensor trains (arXiv 2402.11417, section 3.3).

    y = W x + b + (lora_alpha / r) * B(A(dropout(x)))        A = TT(in -> r), B = TT(r -> out), no biases

Two ranks: `r` is the width between A and B, `tensor_rank` that of the cores. Merging is exact: W + (lora_alpha / r) * B A. Two ways to start as the base does:

    init_weights = "zero"       the last core of B is zero
    init_weights = "subtract"   random cores, and what they give at the start is subtracted ever after: B(A(x)) - B0(A0(x))

The second is the paper's "noise reduction" in a form that works: the paper subtracts the mean of the rebuilt update, which is zero already, and its code
subtracts nothing. B0 and A0 are frozen copies, saved with the adapter, so that the base is untouched and a reloaded adapter is the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from peft.utils.integrations import init_empty_weights
from torch import Tensor, nn

from loretta_core.adapters.common.layer_choice import check_patterns_are_met, own_value
from loretta_core.adapters.common.scaled_blocks import ScaledBlock, ScaledBlocks
from loretta_core.adapters.common.weighted_adapter import SumRequest, add_sum
from loretta_core.adapters.common.weighted_sum import EXACT, Factors
from loretta_core.adapters.field_checks import checked, flag, names, number, one_of, per_layer, probability, whole
from loretta_core.adapters.io.peft_entry_points import open_to
from loretta_core.adapters.io.peft_registry import peft_type, register
from loretta_core.adapters.tuners.base_configs import TTConfig
from loretta_core.adapters.tuners.fused_parameters import FusedBlock, FusedParametersLayer, fused_targets
from loretta_core.adapters.tuners.linear_tuner import LinearTuner
from loretta_core.adapters.tuners.tensor_family.additive_layer import AdditiveLayer, MatrixUpdate
from loretta_core.adapters.tuners.trainable_norms import sum_norms
from loretta_core.errors import MethodError
from loretta_core.sites import ARCHITECTURES
from loretta_core.tt.frozen import FrozenTT
from loretta_core.tt.linear import TTLinear
from loretta_core.tt.shapes import mirrored


@dataclass
class LorettaRepConfig(TTConfig):
    """PEFT config of the type LORETTA_REP."""

    r: int = field(default=8, metadata=checked(whole(1), "Width of the bottleneck between the two factors."))
    lora_alpha: float | int = field(
        default=16.0, metadata=checked(number("a positive number", lambda value: value > 0), "The update is scaled by lora_alpha / r.")
    )
    use_rslora: bool = field(default=False, metadata=checked(flag, "Scale the update by lora_alpha / sqrt(r) instead (rank-stabilized LoRA)."))
    rank_pattern: dict[str, int] = field(default_factory=dict, metadata=checked(per_layer(whole(1)), "Name or regular expression of a layer → its own r."))
    alpha_pattern: dict[str, float | int] = field(
        default_factory=dict,
        metadata=checked(per_layer(number("a positive number", lambda value: value > 0)), "Name or regular expression of a layer → its own lora_alpha."),
    )
    target_parameters: list[str] | None = field(
        default=None, metadata=checked(names, "Names of parameters, such as 'experts.down_proj': the fused experts of mixture models.")
    )
    lora_dropout: float = field(default=0.0, metadata=checked(probability, "Dropout on the update's input."))
    init_weights: str = field(default="zero", metadata=checked(one_of("zero", "subtract"), "How the update starts at nothing: 'zero' or 'subtract'."))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = peft_type("LORETTA_REP")


class TTLowRank(ScaledBlock, MatrixUpdate):
    """The update of one layer, x → scaling * B(A(dropout(x))), less its own start with `init_weights = "subtract"`."""

    def __init__(self, *, in_features: int, out_features: int, config: LorettaRepConfig) -> None:
        super().__init__(config)
        rank, subtracts = config.tensor_rank, config.init_weights == "subtract"
        self.A = TTLinear(in_features, config.r, rank=rank, shape=config.shape, bias=False)
        self.B = TTLinear(config.r, out_features, rank=rank, shape=mirrored(config.shape), bias=False, zero_init=not subtracts)
        self.dropout = nn.Dropout(config.lora_dropout)
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
    def lora_factors(self) -> tuple[Tensor, Tensor]:
        """Return dense (B (out_features, R), A (R, in_features)): the update is scaling * B A. R is r, or 2 r with a subtracted start."""
        left_OR, right_RI = self.B.to_dense(), self.A.to_dense()
        if self.start_A is not None and self.start_B is not None:
            left_OR = torch.cat([left_OR, -self.start_B.to_dense()], dim=1)
            right_RI = torch.cat([right_RI, self.start_A.to_dense()])
        return left_OR, right_RI

    @torch.no_grad()
    def set_factors_(self, left_OR: Tensor, right_RI: Tensor) -> None:
        """Set the factors to the trains nearest to these, so that the update is their product. Only without a subtracted start."""
        assert self.start_A is None
        self.A.set_dense_(right_RI.to(self.A.cores[0].dtype))
        self.B.set_dense_((left_OR / self.scaling).to(self.B.cores[0].dtype))

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
        self.set_factors_(u * root, root[:, None] * vh)
        return float((self.delta_weight().double() - delta_OI).norm() / delta_OI.double().norm())


def _first(matrix: Tensor, count: int, *, dim: int) -> Tensor:
    """Return the first `count` columns (dim 1) or rows (dim 0), with zeros where there are fewer."""
    missing = max(0, count - matrix.shape[dim])
    return nn.functional.pad(matrix.narrow(dim, 0, count - missing), (0, missing) if dim == 1 else (0, 0, 0, missing))


class LorettaRepLayer(ScaledBlocks, AdditiveLayer):
    """A linear layer with tensorized low-rank updates."""

    adapter_layer_names = ("loretta_rep_block",)

    def weighted_parts(self, weights: Mapping[str, float]) -> list[tuple[float, Factors]]:
        """Return the terms of Σ weight * update, each as a number and fp64 factors; adapters that this layer lacks are no terms."""
        return [(weights[name] * block.scaling, deepcopy(block).double().lora_factors()) for name, block in self.updates(*weights).items()]

    def set_update(self, adapter: str, factors: Factors) -> Factors:
        """Set the update of `adapter` to the nearest that its trains can hold; return the factors that it then has."""
        block = self.updates(adapter)[adapter]
        block.set_factors_(*factors)
        left_OR, right_RI = block.lora_factors()
        return block.scaling * left_OR, right_RI


class LorettaRepModel(LinearTuner[LorettaRepConfig, "LorettaRepLayer"]):
    """The tuner that `get_peft_model` makes for LorettaRepConfig."""

    method = "loretta_rep"
    prefix = "loretta_rep_"

    def make_layer(self, config: LorettaRepConfig, base_layer: nn.Module, path: str) -> LorettaRepLayer:
        return LorettaRepLayer(base_layer)

    def make_block(self, config: LorettaRepConfig, layer: LorettaRepLayer) -> nn.Module:
        return TTLowRank(in_features=layer.in_features, out_features=layer.out_features, config=config)

    def _resolve_targets(self, config: LorettaRepConfig, model: nn.Module) -> None:
        fused = self.more_targets(config, model)
        if fused and config.target_modules is None and str(self.get_model_config(model)["model_type"]) not in ARCHITECTURES:
            config.target_modules = []  # as LoRA: the parameters alone where no table names layers
        super()._resolve_targets(config, model)

    def _try_blocks(self, config: LorettaRepConfig, model: nn.Module) -> None:
        targets = [*(path for path, _ in self.targeted(config, model)), *self.more_targets(config, model)]
        check_patterns_are_met({"rank_pattern": config.rank_pattern, "alpha_pattern": config.alpha_pattern}, targets, method=self.method)
        super()._try_blocks(config, model)

    def more_targets(self, config: LorettaRepConfig, model: nn.Module) -> list[str]:
        return [f"{path}.{name}" for path, found in fused_targets(model, config).items() for name in found]

    def _inject_parameters(self, peft_config: Any, model: nn.Module, adapter_name: str, low_cpu_mem_usage: bool) -> list[str]:
        targets = fused_targets(model, peft_config)
        for path, found in targets.items():
            module = model.get_submodule(path)
            layer = module if isinstance(module, FusedParametersLayer) else FusedParametersLayer(module)
            with init_empty_weights() if low_cpu_mem_usage else nullcontext():
                settings = {name: self.settings_at(peft_config, f"{path}.{name}") for name in found}
                block = FusedBlock(layer.get_base_layer(), config=peft_config, settings=settings, path=path)
            layer.add_block(adapter_name, block)
            layer.set_adapter(self.active_adapters)
            model.set_submodule(path, layer)
        return [f"{path}.{name}" for path, found in targets.items() for name in found]

    def settings_at(self, config: LorettaRepConfig, path: str) -> LorettaRepConfig:
        if not config.rank_pattern and not config.alpha_pattern:
            return config
        r = own_value(config.rank_pattern, path, default=config.r)
        return replace(config, r=r, lora_alpha=own_value(config.alpha_pattern, path, default=config.lora_alpha), rank_pattern={}, alpha_pattern={})

    @torch.no_grad()
    def add_weighted_adapter(
        self,
        adapters: list[str],
        weights: list[float],
        adapter_name: str,
        combination_type: str = "cat",
        svd_rank: int | None = None,
        *,
        tensor_rank: int | None = None,
    ) -> dict[str, float]:
        """Add the weighted sum of adapters as one more adapter, frozen and not active, as LoRA does.

        Args:
            combination_type: "cat" (exact: r is the sum of the ranks) or "svd".
            svd_rank: r of the result with "svd"; None takes the largest of the adapters.
            tensor_rank: rank of its cores; None takes as many as it needs.
        Returns the relative error (Frobenius) of every layer by its path, and warns if the largest is more than rounding. Raises MethodError before anything
        changes, also for adapters that have trained the same head.
        """
        layers = {path: layer for path, layer in self.model.named_modules() if isinstance(layer, LorettaRepLayer)}
        request = SumRequest(tuple(adapters), tuple(weights), adapter_name, combination_type, svd_rank, tensor_rank)
        errors = add_sum(self, layers, request)
        sum_norms(self.model, request.weight_of, adapter=adapter_name)
        if max(errors.values()) > EXACT:
            warnings.warn(f"the weighted adapter {adapter_name!r} is not exact: relative errors up to {max(errors.values()):.3g}", stacklevel=2)
        return errors


register(name="loretta_rep", config_cls=LorettaRepConfig, model_cls=LorettaRepModel)
open_to(peft_type("LORETTA_REP"), ScaledBlocks)
