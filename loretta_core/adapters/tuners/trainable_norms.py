"""Trainable norms: LayerNorm and RMSNorm modules of any name, trained and saved together with the adapters.

The authors' package unfreezes norms by parameter name and misses them (or, with tied embeddings, unfreezes everything); here a norm is recognised by its
class. Each adapter trains its own fp32 copy, so that disabling or switching adapters restores the base exactly.
"""

from __future__ import annotations

from copy import deepcopy

from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn
from torch.func import functional_call

from loretta_core.adapters.tuners.adapter_layer import AdapterLayer, run_block
from loretta_core.adapters.tuners.own_parameters import OwnParametersLayer
from loretta_core.errors import MethodError

_CLASS_NAMES = ("LayerNorm", "RMSNorm")


class TrainableNorm(OwnParametersLayer):
    """A norm with the weights of the active adapters, computed in fp32."""

    def __init__(self, base_layer: nn.Module, *, prefix: str) -> None:
        self.adapter_layer_names = (norm_container(prefix),)
        super().__init__(base_layer)

    def adapted(self, x: Tensor, blocks: list[nn.Module]) -> Tensor:
        if len(blocks) == 1:
            return run_block(blocks[0], x)
        return functional_call(blocks[0], self.summed(blocks), (x.float(),)).to(x.dtype)


def norm_container(prefix: str) -> str:
    """Return the attribute that holds the norms of a tuner's adapters: it starts with the tuner's prefix, as all its keys do."""
    return f"{prefix}norm"


def is_norm(module: nn.Module) -> bool:
    """Return whether a module is a LayerNorm or RMSNorm by its class name (`LlamaRMSNorm`, `DebertaLayerNorm`, …) and has weights of its own."""
    return type(module).__name__.endswith(_CLASS_NAMES) and any(True for _ in module.parameters(recurse=False))


def wrap_norms(model: nn.Module, *, adapter: str, prefix: str, active: list[str], frozen: bool) -> None:
    """Give `adapter` its copy of every norm of the backbone; norms inside a trained head train with the head.

    Args:
        prefix: of the tuner, for the names in the state.
        active: the adapters that act now; the copy trains if `adapter` is one of them and not `frozen`.
    """
    for path, module in _norms_outside_wrappers(model):
        layer = module if isinstance(module, TrainableNorm) else TrainableNorm(module, prefix=prefix)
        layer.add_late_block(adapter, deepcopy(layer.get_base_layer()).float(), active=active, frozen=frozen)
        model.set_submodule(path, layer)


def refuse_foreign_norms(model: nn.Module, *, prefix: str) -> None:
    """Raise MethodError if adapters of another type train norms of `model`: the two copies of a norm could not add up."""
    for path, module in model.named_modules():
        if isinstance(module, TrainableNorm) and module.adapter_layer_names != (norm_container(prefix),):
            raise MethodError(f"train_norms: an adapter of another type trains {path} already; set train_norms = False, or merge or unload that one first")


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
