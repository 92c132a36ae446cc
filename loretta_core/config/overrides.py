"""The reach of `--set`: every part of a sweep file by its dotted name, and what is no part of it, the fields of a cell, laid over every cell.

exclude=[{method = "ft"}]          a key of the file, replaced as a whole
tune.trials=4                      a key of one of its tables
axes.trainer.lr=[1e-4, 1e-3]       an axis; the name of a setting stays dotted, in [axes], [defaults] and a `space`
trainer.lr=1e-3                    a field of a cell: not of the file
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from loretta_core.config.cell import CellConfig
from loretta_core.config.explain import allowed, shown
from loretta_core.config.toml import Table
from loretta_core.errors import ConfigError

_OF_SETTINGS = ("axes", "defaults", "space")
"""Tables whose keys are the dotted names of settings."""


def override_file(raw: Table, overrides: Mapping[str, Any], *, keys: Collection[str]) -> tuple[Table, Table]:
    """Return the file with the overrides of its own keys, and the other overrides: those of cells.

    Args:
        keys: what stands at the top level of a sweep file.

    Raises ConfigError for a name that neither has, and where a dotted name leads into a list.
    """
    changed, others = dict(raw), {}
    for name in sorted(overrides, key=lambda name: name.count(".")):  # a table before its keys, whatever the order on the command line
        first = name.split(".")[0]
        if first in keys:
            _set(changed, name.split("."), overrides[name], name=name)
        elif first in CellConfig.model_fields:
            others[name] = overrides[name]
        else:
            raise ConfigError(f"--set {name} = {shown(overrides[name])}: unknown key. {allowed(first, [*CellConfig.model_fields, *keys])}")
    return changed, others


def _set(table: Table, parts: Sequence[str], value: Any, *, name: str) -> None:
    """Set a key of a table, or of a copy of the table below it."""
    key, *rest = parts
    if not rest:
        table[key] = value
        return
    below = table.get(key, {})
    if not isinstance(below, dict):
        if isinstance(below, list):
            raise ConfigError(f"--set {name}: {key} is a list; give it as a whole, e.g. --set '{key}=[…]'")
        below = {}
    table[key] = below = _dotted(below) if key == "axes" else dict(below)
    _set(below, [".".join(rest)] if key in _OF_SETTINGS else rest, value, name=name)


def _dotted(axes: Mapping[str, Any], prefix: str = "") -> Table:
    """Return axes by their dotted names, whether the file has them quoted or nested."""
    named: Table = {}
    for key, value in axes.items():
        named |= _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return named
