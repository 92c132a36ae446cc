"""Cache of the base model: read once per process, its tensors are shared by the cells of a warm worker, each of which gets its own modules.

    cached model ──copy of the modules, same tensors──► a cell's base ──method──► trainable parameters get their own storage

A frozen tensor is bitwise the same after training (a law of every method), so sharing it is safe; `unshare_trainable` copies the few that a method trains
in place. Only the last model is cached: a sweep goes through its models one after the other, and a second one would count as a cell's peak memory. Full
fine-tuning would need a second copy of everything: it reads the checkpoint again instead.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from loretta_core.config.checkpoints.locate import locate
from loretta_core.config.model import ModelConfig
from loretta_core.config.task import FRESH_HEADS, AnyObjective
from loretta_core.models import load_model
from loretta_core.quantized.formats import alias, stored_bytes

Model = TypeVar("Model", bound=nn.Module)

MEMORY_SHARE = 0.25
"""Share of the machine's memory: a larger model is not cached. (On a GPU the cached one stays in host memory.)"""


@dataclass(frozen=True)
class _CachedModel:
    model: PreTrainedModel
    generator: Tensor
    """State of torch's generator after the model was made: a fresh classification head draws from it."""


_cache: dict[str, _CachedModel] = {}


def base_model(
    model: ModelConfig, *, objective: AnyObjective, num_labels: int, dtype: torch.dtype, seed: int, shared: bool, fresh_head: bool = False
) -> PreTrainedModel:
    """Return `load_model`'s model, from the cache if it is there. torch's generator, seeded with `seed` before, ends in the same state either way.

    Args:
        fresh_head: the checkpoint's classification head is drawn anew.
        shared: the caller changes no tensor of the model but those that `unshare_trainable` will find. False: read it, and cache none.
    """
    key = repr(
        (_content(model), model.trust_remote_code, model.quantization, objective, num_labels, dtype, fresh_head, seed if objective in FRESH_HEADS else None)
    )
    found = _cache.get(key) if shared else None
    if found is None:
        _cache.clear()
        before = torch.get_rng_state()
        loaded = load_model(model, objective=objective, num_labels=num_labels, dtype=dtype, fresh_head=fresh_head)
        if objective not in FRESH_HEADS:
            torch.set_rng_state(before)  # random numbers drawn by loading must not depend on whether it happened
        if not shared:
            return loaded
        found = _CachedModel(loaded, torch.get_rng_state())
        if _nbytes(loaded) <= MEMORY_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
            _cache[key] = found
    elif objective in FRESH_HEADS:
        torch.set_rng_state(found.generator)
    return copy_modules(found.model)


def cached_bytes() -> int:
    """Return the bytes of the cached model: the next cell uses or drops it, so they are not part of what it needs in addition."""
    return sum(_nbytes(cached.model) for cached in _cache.values())


def cached_models() -> list[PreTrainedModel]:
    """Return the models in the cache: one or none."""
    return [cached.model for cached in _cache.values()]


def clear_cache() -> None:
    """Drop the cached model."""
    _cache.clear()


def copy_modules(model: Model) -> Model:
    """Copy the module tree and the buffers; parameters are new objects on the same storage, tied ones stay tied."""
    return copy.deepcopy(model, {id(parameter): alias(parameter) for parameter in model.parameters()})


def unshare_trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trainable parameters, each with storage of its own from now on."""
    shared = {parameter.data_ptr() for cached in _cache.values() for parameter in cached.model.parameters()}
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    for parameter in trainable.values():
        if parameter.data_ptr() in shared:
            parameter.data = parameter.data.clone()
    return trainable


def _nbytes(model: nn.Module) -> int:
    return sum(map(stored_bytes, model.parameters()))


def _content(model: ModelConfig) -> object:
    """Return a value that changes when the files of a model change; a hub id stands for itself."""
    source = locate(model)
    directory = Path(source)
    if not directory.is_dir():
        return source, model.revision
    return source, sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in directory.iterdir() if file.is_file())
