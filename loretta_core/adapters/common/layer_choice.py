"""Settings that differ from layer to layer, under PEFT's names and by PEFT's own matching.

    layers_to_transform, layers_pattern, exclude_modules     which blocks of the model get an adapter; their norms train, the other norms do not
    rank_pattern, alpha_pattern                              name or regular expression of a layer → its own r or lora_alpha (loretta_rep)

A norm outside the numbered blocks, such as the last one of a decoder, does not train where blocks are chosen. A head trains as before.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

from loretta_core.errors import MethodError
from loretta_core.sites import candidate_names

ConfigT = TypeVar("ConfigT")


def check_chosen_layers(config: Any) -> None:
    """Raise MethodError for a choice of layers that contradicts itself."""
    numbers = config.layers_to_transform
    if config.layers_pattern and numbers is None:
        raise MethodError(f"layers_pattern = {config.layers_pattern!r}: it says where layers_to_transform counts, which is not set")
    if numbers is not None and isinstance(config.target_modules, str):
        raise MethodError(
            f"layers_to_transform = {numbers!r} with target_modules = {config.target_modules!r}: a pattern names its layers itself; "
            "give target_modules as a list of names, or put the numbers into the pattern"
        )


@dataclass(frozen=True)
class _One:
    """A PEFT config that names one module, so that PEFT's own rules say whether its block is chosen."""

    target_modules: tuple[str]
    layers_to_transform: list[int] | int | None
    layers_pattern: list[str] | str | None
    exclude_modules: list[str] | set[str] | str | None


def is_chosen(config: Any, path: str) -> bool:
    """Return whether the module at `path` lies in a chosen block and is not excluded, whatever its name."""
    excluded = not check_target_module_exists(_One((path,), None, None, config.exclude_modules), path)
    return not excluded and _lies_in(config, path, numbers=config.layers_to_transform)


def _lies_in(config: Any, path: str, *, numbers: list[int] | int | None) -> bool:
    # PEFT looks at numbers only where a path ends in a dot and the name: a name that is the whole path counts as chosen.
    return bool(check_target_module_exists(_One((path.rpartition(".")[2],), numbers, config.layers_pattern, None), f".{path}"))


def check_choice_is_met(config: Any, targets: Collection[str], *, linear_paths: Collection[str], method: str) -> None:
    """Raise MethodError where a number in `layers_to_transform` belongs to none of the layers that get an adapter, or where there are no such layers."""
    numbers = config.layers_to_transform
    for number in [numbers] if isinstance(numbers, int) else numbers or ():
        if not any(_lies_in(config, path, numbers=number) for path in targets):
            blocks = _blocks(linear_paths)
            outermost = config.layers_pattern is None and any(block.count(".") == 1 for block in blocks)
            raise MethodError(
                f"{method}: layers_to_transform = {numbers!r}: no target lies in a block number {number}; the model has {', '.join(blocks) or 'none'}"
                + (f"; PEFT finds these with layers_pattern = {blocks[0].split('.')[0]!r} only" if outermost else "")
            )
    if not targets:
        raise MethodError(f"{method}: exclude_modules = {config.exclude_modules!r} leaves none of target_modules = {config.target_modules!r}")


def _blocks(paths: Collection[str]) -> list[str]:
    return list(dict.fromkeys(match.group(1) for path in paths if (match := re.match(r"((?:.*?\.)?[^.]+\.\d+)\.", path))))


def check_patterns_are_met(patterns: Mapping[str, Mapping[str, Any]], targets: Collection[str], *, method: str) -> None:
    """Raise MethodError for a name or regular expression in one of `patterns` (setting → its dict) that names none of the layers that get an adapter."""
    for setting, values in patterns.items():
        for pattern in values:
            if not any(re.match(rf"(.*\.)?({pattern})$", path) for path in targets):  # as PEFT's get_pattern_key
                names = ", ".join(candidate_names(list(targets))) or "none"
                raise MethodError(f"{method}: {setting} = {dict(values)!r}: {pattern!r} names none of the layers that get an adapter: {names}")


def own_value(patterns: Mapping[str, Any], path: str, *, default: Any) -> Any:
    """Return the value of the first pattern that names the layer at `path`, as LoRA finds it; `default` if none does."""
    return patterns.get(get_pattern_key(list(patterns), path), default)
