"""The default ranges of a cell's settings: what `[tune]` samples from when the sweep file gives no `space`.

trainer.lr        the method's range for the trainer's family (`Method.learning_rates`), times the trainer's `lr_factor`
trainer.*         the trainer's own (`default_space`), such as `zo_eps`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loretta_core.config.cell import CellConfig
from loretta_core.config.explain import FAMILIES
from loretta_core.config.trainer import InContext, NoTraining
from loretta_core.methods.ranges import DefaultRange


def default_ranges(cell: CellConfig) -> dict[str, DefaultRange]:
    """Return dotted setting → range; empty where nothing trains."""
    if isinstance(cell.trainer, NoTraining | InContext):
        return {}
    rates = cell.method.learning_rates.zeroth_order if cell.trainer.zeroth_order else cell.method.learning_rates.first_order
    own = {f"trainer.{name}": found for name, found in cell.trainer.default_space.items()}
    return {"trainer.lr": rates.scaled(cell.trainer.lr_factor), **own}


def trainer_ranges(trainer: str) -> Mapping[str, DefaultRange]:
    """Return the ranges that a trainer has of its own, by setting."""
    cls: Any = FAMILIES["trainer"][trainer]
    return cls.default_space


def has_setting(cell: CellConfig, name: str) -> bool:
    """Return whether the cell has a setting of this dotted name."""
    component, _, field = name.partition(".")
    if component not in FAMILIES or not field:
        return not field and name in CellConfig.model_fields
    return field.split(".")[0] in type(getattr(cell, component)).model_fields


def setting_of(cell: CellConfig, name: str) -> object:
    """Return the value of a dotted setting."""
    value: object = cell.to_dict()
    for part in name.split("."):
        assert isinstance(value, dict)
        value = value[part]
    return value
