"""The points of a grid: every combination of the values on its axes, and the single cells beside it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from loretta_core.config.cell import COMPONENTS
from loretta_core.config.sweep.draft import Draft, from_defaults, lay
from loretta_core.config.toml import Table
from loretta_core.errors import ConfigError

MAX_POINTS = 100_000
"""Most points of a grid: so many take a minute to expand."""

_PLACEMENT = ("engine", "executor", "pack")


def flatten(table: Mapping[str, Any], *, where: str, prefix: str = "") -> dict[str, list[Any]]:
    """Return {dotted name: values} of nested axis tables. Raises ConfigError for a leaf that is no non-empty list; `where` stands before its name."""
    axes: dict[str, list[Any]] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            axes.update(flatten(value, where=where, prefix=f"{name}."))
        elif isinstance(value, list) and value:
            axes[name] = value
        else:
            raise ConfigError(f"{where}{name} = {value!r}: an axis is a non-empty list of values; a single value belongs under [defaults]")
    return axes


def check_axes(axes: Mapping[str, list[Any]]) -> None:
    """Raise ConfigError for an axis over placement, all of whose values would be the same cell, and for more points than `MAX_POINTS`."""
    for name in axes:
        if name.split(".")[0] in _PLACEMENT:
            raise ConfigError(
                f"axes.{name}: where a cell is computed is no part of it, so that all values of this axis would be one cell, which runs once; "
                f"give one value{' under [defaults]' if name.startswith('engine') else ' at the top of the file'}, or compare placements with a sweep each, "
                "in output directories of their own"
            )
    points = math.prod(map(len, axes.values()))
    if points > MAX_POINTS:
        raise ConfigError(f"axes: {points:,} combinations; a sweep has at most {MAX_POINTS:,}. Split it, or sample with [tune]")


def grid_points(defaults: Table, axes: Mapping[str, list[Any]], places: Mapping[str, str], *, alone: bool) -> Iterator[Draft]:
    """Yield a draft for every combination of axis values.

    Args:
        places: where each axis stands in the file.
        alone: without axes, the defaults are the one point.
    """
    if not axes and not alone:
        return
    ordered = sorted(axes, key=_axis_order)
    for indices in itertools.product(*(range(len(axes[name])) for name in ordered)):
        draft = from_defaults(defaults)
        for name, index in zip(ordered, indices, strict=True):
            lay(draft, {name: axes[name][index]}, origin=f"{places[name]}[{index}]")
        yield draft


def _axis_order(name: str) -> tuple[int, str]:
    """Sort components first, since leaves are laid over them; seed last, so that it varies fastest in tables."""
    if name in COMPONENTS:
        return COMPONENTS.index(name), ""
    return (len(COMPONENTS) + 1 if name == "seed" else len(COMPONENTS)), name


def included(sweep: Mapping[str, Any]) -> Iterator[Draft]:
    """Yield a draft for every `[[include]]` table."""
    for index, table in enumerate(sweep.get("include", [])):
        draft = from_defaults(sweep.get("defaults", {}))
        lay(draft, table, origin=f"include[{index}].{{}}")
        yield draft
