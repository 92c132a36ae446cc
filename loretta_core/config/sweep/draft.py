"""A cell before validation: raw tables laid over each other, and where each field came from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from loretta_core.config.cell import COMPONENTS, CellConfig
from loretta_core.config.checkpoints.decoders import default_objective
from loretta_core.config.explain import explain
from loretta_core.config.toml import Table
from loretta_core.errors import ConfigError

ONLY_TYPE = {"model": "pretrained", "engine": "plain"}
"""Components whose tables may leave `type` out, with the type that they then have."""


@dataclass(frozen=True)
class Draft:
    """A cell before validation: its raw table, and where each field came from."""

    table: Table
    origins: dict[str, str]
    point: str = ""
    """Name of the grid point that was sampled; empty without [search]."""
    sample: int = 0
    """Index of the sample at that point."""

    def build(self) -> CellConfig:
        """Return the validated cell, with the objective that suits its model where the task leaves it open. Raises ConfigError that names the places in the
        sweep file.
        """
        objective = default_objective(self.table.get("model"), self.table.get("task"))
        table = {**self.table, "task": {**self.table["task"], "objective": objective}} if objective else self.table
        try:
            return CellConfig.model_validate(table)
        except ValidationError as error:
            raise ConfigError(explain(error, data=self.table, origins=self.origins, known=[*CellConfig.model_fields])) from None

    @property
    def description(self) -> str:
        """The components in short, for a cell that could not be built."""
        parts = [describe_component(self.table.get(name)) for name in COMPONENTS if name in self.table]
        return " · ".join([*parts, f"seed {self.table.get('seed', 0)}"])


def from_defaults(defaults: Mapping[str, Any]) -> Draft:
    """Return a draft that holds the table [defaults]."""
    draft = Draft(table={}, origins={})
    lay(draft, defaults, origin="defaults.{}")
    return draft


def lay(draft: Draft, fields: Mapping[str, Any], *, origin: str) -> None:
    """Lay `fields` (names may be dotted) over the draft; a table is merged into the one below it. `origin` with `{}` for the name says where they come from.

    Raises ConfigError where a dotted name leads into a value that is no table.
    """
    for name, value in fields.items():
        value = as_table(name, value)
        *parents, leaf = name.split(".")
        table = draft.table
        for parent in parents:
            table = table.setdefault(parent, {"type": ONLY_TYPE[parent]} if parent in ONLY_TYPE else {})
            if not isinstance(table, dict):
                raise ConfigError(f"{origin.format(name)}: {parent!r} is {table!r}, not a table")
        if isinstance(value, dict) and isinstance(table.get(leaf), dict):
            table[leaf].update(value)
        else:
            table[leaf] = value
        draft.origins[name] = origin.format(name)
        if isinstance(value, dict):
            draft.origins.update({f"{name}.{key}": f"{origin.format(name)}.{key}" for key in value})


def as_table(component: str, value: Any) -> Any:
    """Return a component as a table.

    `"lora"` → `{type = "lora"}`, `"ddp"` → `{type = "ddp"}`; `"toy-bert"` → `{type = "pretrained", name = "toy-bert"}`; a table is copied.
    """
    if isinstance(value, str) and component in (*COMPONENTS, "engine"):
        return {"type": "pretrained", "name": value} if component == "model" else {"type": value}
    if isinstance(value, dict) and component in ONLY_TYPE:
        return {"type": ONLY_TYPE[component], **copy.deepcopy(value)}
    return copy.deepcopy(value)


def describe_component(component: Any) -> str:
    """Return the name or the type of a component, as far as the raw table has one."""
    if not isinstance(component, Mapping):
        return str(component)
    return str(component.get("name", component.get("type", "?")))
