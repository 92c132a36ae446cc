"""loretta_rep on parameters instead of modules, as LoRA's `target_parameters`: the fused experts of mixture models, one tensor for all experts of a block.

    ΔW_e = scaling * B_e A_e         A = TT(in -> r * experts),  B = TT(r * experts -> out),  A_e and B_e the slices of expert e

One pair of trains serves all experts, so they share cores. A parameter is (experts, out, in), or (experts, in, out) in a module with `is_transposed`, or
(out, in) without experts. Each forward pass adds the update to the whole parameter, since the module's own code reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from loretta_core.adapters.common.layer_choice import is_chosen
from loretta_core.adapters.common.scaled_blocks import ScaledBlock, ScaledBlocks, scaling_of
from loretta_core.adapters.tuners.adapter_layer import AdapterLayer
from loretta_core.errors import MethodError
from loretta_core.tt.linear import TTLinear


class ExpertsUpdate(nn.Module):
    """The update of one parameter of shape `size`. Raises MethodError for a parameter that is no matrix and no stack of matrices."""

    def __init__(self, size: torch.Size, *, transposed: bool, config: Any, path: str) -> None:
        super().__init__()
        if len(size) not in (2, 3):
            raise MethodError(f"target_parameters: {path} has {len(size)} dimensions; expected a matrix, or one matrix for each expert")
        self.experts = size[0] if len(size) == 3 else 1
        self.transposed = transposed and len(size) == 3
        out_features, in_features = size[-2:] if not self.transposed else (size[-1], size[-2])
        self.size = size
        self.A = TTLinear(in_features, config.r * self.experts, rank=config.tensor_rank, bias=False)
        self.B = TTLinear(config.r * self.experts, out_features, rank=config.tensor_rank, bias=False, zero_init=True)

    def delta(self) -> Tensor:
        """Return the update without its scaling, in the parameter's layout and fp32."""
        a_ERI = self.A.to_dense().view(self.experts, -1, self.A.shape.in_features)
        b_ORE = self.B.to_dense().reshape(self.B.shape.out_features, -1, self.experts)
        return torch.einsum("ore,eri->eio" if self.transposed else "ore,eri->eoi", b_ORE, a_ERI).reshape(self.size)


class FusedBlock(ScaledBlock):
    """The updates that one adapter has for the parameters of one module, by their names.

    Args:
        settings: of every parameter, by its name; they differ in r and lora_alpha alone.
    """

    def __init__(self, module: nn.Module, *, config: Any, settings: Mapping[str, Any], path: str) -> None:
        super().__init__(config)
        transposed = bool(getattr(module, "is_transposed", False))  # transformers' mark for experts stored as (experts, in, out)
        sizes = {name: parameter.shape for name, parameter in module.named_parameters(recurse=False)}
        self.of = nn.ModuleDict({name: ExpertsUpdate(sizes[name], transposed=transposed, config=own, path=f"{path}.{name}") for name, own in settings.items()})
        self._own_factors = {name: scaling_of(own) / self.initial_scaling for name, own in settings.items()}

    def deltas(self) -> dict[str, Tensor]:
        """Return the updates in fp32, by the names of the parameters."""
        return {name: self.scaling * self._own_factors[name] * update.delta() for name, update in self.of.items() if isinstance(update, ExpertsUpdate)}


class FusedParametersLayer(ScaledBlocks, AdapterLayer):
    """A module of any kind, run with updates added to some of its own parameters."""

    adapter_layer_names = ("loretta_rep_block",)

    def forward(self, *args: Any, adapter_names: list[str] | None = None, **kwargs: Any) -> Any:
        if adapter_names is not None and not self.disable_adapters:
            raise MethodError("adapter_names: rows of fused experts cannot have adapters of their own, because experts mix the rows of a batch")
        blocks = self.acting_blocks()
        if not blocks:
            return self.base_layer(*args, **kwargs)
        own = dict(self.base_layer.named_parameters(recurse=False))
        changed: dict[str, Tensor] = {}
        for block in blocks:
            assert isinstance(block, FusedBlock)
            for name, delta in block.deltas().items():
                changed[name] = changed.get(name, own[name]) + delta.to(own[name].dtype)
        return functional_call(self.base_layer, changed, args, kwargs)

    def adapted(self, x: Tensor, blocks: list[nn.Module]) -> Tensor:
        raise AssertionError("forward is replaced as a whole: such modules take more than one tensor")

    def merged_state(self, block: nn.Module) -> dict[str, Tensor]:
        assert isinstance(block, FusedBlock)
        own = dict(self.base_layer.named_parameters(recurse=False))
        return {name: own[name].float() + delta for name, delta in block.deltas().items()}


def fused_targets(model: nn.Module, config: Any) -> dict[str, list[str]]:
    """Return {path of a module: its targeted parameters}. Raises MethodError for a name that no parameter has, and for settings that do not go with them."""
    if not config.target_parameters:
        return {}
    if config.lora_dropout or config.init_weights != "zero":
        raise MethodError(
            "target_parameters: expected lora_dropout = 0 and init_weights = 'zero': the update is added to the parameter, no input goes through it"
        )
    found: dict[str, list[str]] = {}
    used: set[str] = set()
    for path, module in model.named_modules():
        holder = module.get_base_layer() if isinstance(module, FusedParametersLayer) else module
        if ".loretta_rep_block." in f"{path}." or path.endswith(".base_layer"):
            continue
        for name, _ in holder.named_parameters(recurse=False):
            key = f"{path}.{name}"
            hits = [target for target in config.target_parameters if key == target or key.endswith(f".{target}")]
            used.update(hits)
            if hits and is_chosen(config, key):
                found.setdefault(path, []).append(name)
    if missing := sorted(set(config.target_parameters) - used):
        stacks = sorted({".".join(name.split(".")[-2:]) for name, value in model.named_parameters() if value.dim() == 3})
        raise MethodError(
            f"target_parameters = {config.target_parameters}: {missing} matched no parameter; stacks of matrices there: {', '.join(stacks) or 'none'}"
        )
    return found
