"""A base model is read once per process: the cells of a warm worker share its tensors, and each has modules of its own to change.

    kept model ──copy of the modules, same tensors──► a cell's base ──method──► what trains gets storage of its own

A frozen tensor is bitwise the same after training (a law of every method), so sharing it is safe; `own_trainable` gives storage to the few that a method trains
in place. One model is kept, the last: a sweep goes through its models one after the other, and a second one would count as a cell's peak memory. Full
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

from loretta_core.config.locate import locate
from loretta_core.config.model import ModelConfig
from loretta_core.config.task import Objective
from loretta_core.models import load_model

Model = TypeVar("Model", bound=nn.Module)

MEMORY_SHARE = 0.25
"""Of the machine's memory: a larger model is not kept. (On a GPU the kept one stays in host memory.)"""


@dataclass(frozen=True)
class _Kept:
    model: PreTrainedModel
    generator: Tensor
    """State of torch's generator after the model was made: a fresh classification head draws from it."""


_kept: dict[str, _Kept] = {}


def base_model(model: ModelConfig, *, objective: Objective, num_labels: int, dtype: torch.dtype, seed: int, shared: bool) -> PreTrainedModel:
    """`load_model`, or its tensors again in modules of their own; torch's generator, seeded with `seed` before, ends in the same state either way.

    Args:
        shared: the caller changes no tensor of the model but those that `own_trainable` will find. False: read it, and keep none.
    """
    key = repr((_content(model), model.trust_remote_code, objective, num_labels, dtype, seed if objective == "head" else None))
    found = _kept.get(key) if shared else None
    if found is None:
        _kept.clear()
        before = torch.get_rng_state()
        loaded = load_model(model, objective=objective, num_labels=num_labels, dtype=dtype)
        if objective != "head":
            torch.set_rng_state(before)  # what loading draws in passing must not depend on whether it happened
        if not shared:
            return loaded
        found = _Kept(loaded, torch.get_rng_state())
        if _nbytes(loaded) <= MEMORY_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
            _kept[key] = found
    elif objective == "head":
        torch.set_rng_state(found.generator)
    return with_own_modules(found.model)


def kept_bytes() -> int:
    """What is kept for the next cell; it will be used or dropped, so the next cell does not find it in its way."""
    return sum(_nbytes(kept.model) for kept in _kept.values())


def with_own_modules(model: Model) -> Model:
    """A copy of the module tree and the buffers; parameters are new objects on the same storage, tied ones stay tied."""
    return copy.deepcopy(model, {id(parameter): _alias(parameter) for parameter in model.parameters()})


def _alias(parameter: nn.Parameter) -> nn.Parameter:
    """With the attributes too: transformers notes on a parameter whether it came from the checkpoint."""
    alias = nn.Parameter(parameter.data, requires_grad=parameter.requires_grad)
    alias.__dict__.update(parameter.__dict__)
    return alias


def own_trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable parameters, each with storage of its own from now on."""
    shared = {parameter.data_ptr() for kept in _kept.values() for parameter in kept.model.parameters()}
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    for parameter in trainable.values():
        if parameter.data_ptr() in shared:
            parameter.data = parameter.data.clone()
    return trainable


def _nbytes(model: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def _content(model: ModelConfig) -> object:
    """What a change of the files changes; a hub id stands for itself."""
    source = locate(model)
    directory = Path(source)
    if not directory.is_dir():
        return source, model.revision
    return source, sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in directory.iterdir() if file.is_file())
