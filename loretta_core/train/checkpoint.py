"""Checkpoints of a cell, so that a killed cell continues: one safetensors file, replaced atomically.

It holds what training changes: trainable parameters, the best of them so far, optimizer state, the random generator's state, and the progress as JSON in the
file's metadata. The frozen model is not in it. The data order needs no state: it is a function of (seed, step).
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from loretta_core.errors import CellFailed
from loretta_core.train.state import TrainingProgress, progress_from, progress_scalars
from loretta_core.train.workers import SINGLE_WORKER, Workers

log = logging.getLogger(__name__)

MIN_INTERVAL_S = 10.0
"""Default of the seconds between two saves."""


@dataclass(frozen=True)
class ModelState:
    """The trainable parameters by name, and their optimizer."""

    trainable: Mapping[str, nn.Parameter]
    optimizer: Optimizer
    flush: Callable[[], None] = lambda: None
    """Flushes the replay log before a checkpoint is written: on disk it must reach at least as far."""

    def copy_trainable(self) -> dict[str, Tensor]:
        """Return a copy of the trainable parameters in host memory: a model that only just fits its device has no room for two."""
        return {name: parameter.detach().to("cpu", copy=True) for name, parameter in self.trainable.items()}

    @torch.no_grad()
    def load_trainable(self, values: Mapping[str, Tensor]) -> None:
        """Write `values` into the parameters, in place."""
        assert values.keys() == self.trainable.keys(), "the values belong to other parameters"
        for name, parameter in self.trainable.items():
            parameter.copy_(values[name])


class FileCheckpointer:
    """Saves and restores one cell in one file.

    Args:
        path: the checkpoint file.
        identity: what the state belongs to (cell id and data digest); a file with another identity is ignored.
        min_interval_s: seconds between saves (None: MIN_INTERVAL_S); a shorter cell is cheaper to repeat than to save.
        workers: the workers of the cell. The first one writes, all read.
    """

    def __init__(self, path: Path, *, identity: str, min_interval_s: float | None = None, workers: Workers = SINGLE_WORKER) -> None:
        self._workers = workers
        self._path = path
        self._identity = identity
        self._min_interval_s = MIN_INTERVAL_S if min_interval_s is None else min_interval_s
        self._last_save = time.monotonic()

    def save(self, state: ModelState, progress: TrainingProgress, *, now: bool = False) -> None:
        """Write the state, unless the last save is too recent; `now` writes it in any case."""
        if not self._workers.first or not (now or time.monotonic() - self._last_save >= self._min_interval_s):
            return
        state.flush()
        tensors = _prefixed("parameter", state.copy_trainable()) | _prefixed("best", progress.best) | _optimizer_tensors(state.optimizer)
        tensors["generator"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["cuda_generator"] = torch.cuda.get_rng_state()
        info = {"progress": progress_scalars(progress), "groups": [_settings(group) for group in state.optimizer.param_groups]}
        write_tensors(self._path, tensors, {"identity": self._identity, "info": json.dumps(info)})
        self._last_save = time.monotonic()

    def restore(self, state: ModelState) -> TrainingProgress | None:
        """Load the last save into `state`. None when there is none of this identity, or the file is damaged (then the cell starts anew).

        Raises CellFailed when workers do not see the same file.
        """
        progress = self._read(state)
        steps = self._workers.gather(progress.step if progress else 0)
        if len(set(steps)) > 1:
            raise CellFailed(f"the workers found checkpoints of different steps {steps} at {self._path}; do all nodes share it?", kind="infrastructure")
        return progress

    def _read(self, state: ModelState) -> TrainingProgress | None:
        if not self._path.is_file():
            return None
        try:
            with safe_open(self._path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        except (SafetensorError, OSError) as error:
            log.warning("checkpoint %s is damaged (%s); the cell starts again", self._path, error)
            return None
        if metadata.get("identity") != self._identity:
            log.warning("checkpoint %s belongs to other data or settings; the cell starts again", self._path)
            return None
        return _restore(state, tensors, json.loads(metadata["info"]))

    def clear(self) -> None:
        """Delete the file of a finished cell."""
        if self._workers.first:
            self._path.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file so that a reader sees the old one or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata=dict(metadata))
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def _restore(state: ModelState, tensors: Mapping[str, Tensor], info: dict[str, Any]) -> TrainingProgress:
    state.load_trainable(_unprefixed("parameter", tensors))
    _load_optimizer(state.optimizer, tensors)
    for group, settings in zip(state.optimizer.param_groups, info["groups"], strict=True):
        group.update(settings)
    torch.set_rng_state(tensors["generator"])
    if "cuda_generator" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda_generator"])
    return progress_from(info["progress"], best=_unprefixed("best", tensors))


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a parameter group besides its parameters: learning rate, step count, seed, recent differences."""
    return {name: value for name, value in group.items() if isinstance(value, (bool, int, float, str)) or (name == "recent" and isinstance(value, list))}


_COUNT = "count:"
"""Before the names of whole numbers in an optimizer's state, as bitsandbytes keeps them."""
_INSIDE = "::"
"""Between the names of a table in an optimizer's state and of what it holds, as bitsandbytes has one."""


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    slots = optimizer.state_dict()["state"]
    return {f"optimizer/{index}/{name}": value for index, slot in slots.items() for name, value in _flat(slot).items()}


def _flat(slot: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors and whole numbers of one parameter's state, those in tables too."""
    found: dict[str, Tensor] = {}
    for name, value in slot.items():
        if isinstance(value, Tensor):
            found[name] = value
        elif isinstance(value, int):
            found[f"{_COUNT}{name}"] = torch.tensor(value)
        elif isinstance(value, Mapping):
            found |= {f"{name}{_INSIDE}{inner}": tensor for inner, tensor in _flat(value).items()}
    return found


def _load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    saved = optimizer.state_dict()
    slots: dict[int, dict[str, Any]] = {}
    for key, tensor in _unprefixed("optimizer", tensors).items():
        index, _, name = key.partition("/")
        table, _, inner = name.rpartition(_INSIDE)
        slot = slots.setdefault(int(index), {})
        place = slot.setdefault(table, {}) if table else slot
        place[inner.removeprefix(_COUNT)] = int(tensor) if inner.startswith(_COUNT) else tensor
    optimizer.load_state_dict({"state": slots, "param_groups": saved["param_groups"]})


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _unprefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(f"{prefix}/"): tensor for key, tensor in tensors.items() if key.startswith(f"{prefix}/")}
