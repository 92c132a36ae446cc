"""Trainable norms: LayerNorm and RMSNorm modules of any name, trained and saved together with the adapters.

The authors' package unfreezes norms by parameter name and misses them (or, with tied embeddings, unfreezes everything); here a norm is recognised by what it
does (`backbone/norms.py`). Each adapter trains its own fp32 copy, so that disabling or switching adapters restores the base exactly.
"""

from __future__ import annotations

from copy import deepcopy

from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn

from loretta_core.adapters.tuners.adapter_layer import AdapterLayer, run_block
from loretta_core.adapters.tuners.backbone.norms import is_norm


class TrainableNorm(AdapterLayer):
    """A norm whose weights belong to the active adapter. Two active adapters cannot both own a norm: the first one does."""

    adapter_layer_names = ("trainable_norm",)

    def adapted(self, x: Tensor, blocks: list[nn.Module]) -> Tensor:
        return run_block(blocks[0], x)

    def merged_state(self, block: nn.Module) -> dict[str, Tensor]:
        return dict(block.named_parameters())


def wrap_norms(model: nn.Module, *, adapter: str) -> list[TrainableNorm]:
    """Give `adapter` its copy of every norm of the backbone; norms inside a trained head train with the head. Returns the layers."""
    layers = []
    for path, module in _norms_outside_wrappers(model):
        parent_path, _, name = path.rpartition(".")
        layer = module if isinstance(module, TrainableNorm) else TrainableNorm(module)
        layer.add_block(adapter, deepcopy(layer.get_base_layer()).float().requires_grad_(True))
        setattr(model.get_submodule(parent_path), name, layer)
        layers.append(layer)
    return layers


def _norms_outside_wrappers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    found: list[tuple[str, nn.Module]] = []
    closed: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if path.startswith(closed):
            continue
        if isinstance(module, AdapterLayer | AuxiliaryTrainingWrapper):
            closed = (*closed, f"{path}.")
        if isinstance(module, TrainableNorm) or is_norm(module):
            found.append((path, module))
    return found
