"""The settings that decide the weights of a zeroth-order run besides start, differences and learning rates: compared before a log is replayed.

optimizer, seed, distribution, scaling     which update, along which directions
groups                                     ε, decay and the options of the wrapped optimizer, per group
storage, layout                            whether θ is one buffer or streamed, and a digest of the shapes that train, in order
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from loretta_core.zo.parameters.flat import FlatParameters
from loretta_core.zo.parameters.membership import training
from loretta_core.zo.parameters.placement import Storage

_COUNTERS = {"recent", "steps_taken", "skipped_steps", "clipped_differences", "evaluations", "second_moment"}
_ELSEWHERE = {"lr", "seed", "num_directions", "differentiable", *_COUNTERS}
"""Options of a group that are logged elsewhere, follow from what is, or decide no weight (torch adds `differentiable` when it loads a state)."""


def settings_of(groups: Sequence[Mapping[str, Any]], *, options: Iterable[str], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as JSON values.

    Args:
        options: names of what every group holds, besides its parameters.
        more: the settings that are in no group.
    """
    chosen = sorted(set(options) - _ELSEWHERE)
    return {**more, "seed": groups[0]["seed"], "groups": [{name: _plain(group[name]) for name in chosen} for group in groups]}


def layout_of(groups: Iterable[Mapping[str, Any]], storage: Storage) -> dict[str, Any]:
    """Return the settings that follow from the parameters that train."""
    shapes = [[(str(parameter.dtype), *parameter.shape) for parameter in training(group)] for group in groups]
    digest = hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:16]
    return {"storage": "flat" if isinstance(storage, FlatParameters) else "streamed", "parameters": len(storage), "layout": digest}


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the settings that differ, as `seed: 0, not 1`; a group's with its number."""
    found = []
    for name in sorted(one.keys() | other.keys()):
        mine, theirs = one.get(name), other.get(name)
        if name == "groups" and mine is not None and theirs is not None and len(mine) == len(theirs):
            found += [f"group {index}: {text}" for index, pair in enumerate(zip(mine, theirs, strict=True)) for text in differing(*pair)]
        elif mine != theirs:
            found.append(f"{name}: {mine}, not {theirs}")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.tolist()
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value
