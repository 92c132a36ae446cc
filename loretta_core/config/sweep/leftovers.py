"""Settings that are given to all cells and do not fit some of them, such as `[defaults] trainer.steps = 10` beside the trainer `none`.

They are left out where another type of the component has them, and told. What fits no cell of the sweep is an error, and so is what an axis or an [[include]]
gives.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from loretta_core.config.explain import FAMILIES, shown
from loretta_core.config.sweep.draft import Draft


@dataclass
class Leftovers:
    """The settings that were left out of cells so far."""

    _places: dict[str, str] = field(default_factory=dict)
    """Setting → where it is given, and its value."""
    _types: dict[str, dict[str, None]] = field(default_factory=dict)
    """Setting → the types that lack it, in their order."""
    _whole: dict[str, Draft] = field(default_factory=dict)
    """Setting → the first cell that it was left out of, before that."""

    def remove_from(self, draft: Draft) -> Draft:
        """Return the draft without the settings that its types lack."""
        found = [*_unfitting(draft)]
        if not found:
            return draft
        fitting = replace(draft, table=copy.deepcopy(draft.table))
        for name in found:
            component, _, key = name.partition(".")
            value = fitting.table[component].pop(key)
            self._places[name] = f"{draft.origins[name]} = {shown(value)}"
            self._types.setdefault(name, {})[f"{component} {fitting.table[component]['type']}"] = None
            self._whole.setdefault(name, draft)
        return fitting

    def check(self, drafts: list[Draft]) -> None:
        """Raise the ConfigError of a setting that none of these cells has."""
        for name, whole in self._whole.items():
            component, _, key = name.partition(".")
            if not any(key in draft.table.get(component, {}) for draft in drafts):
                whole.build()

    @property
    def notices(self) -> list[str]:
        """A line for every setting that was left out somewhere."""
        return [f"{place}: left out for {', '.join(self._types[name])}, which has no such setting" for name, place in self._places.items()]


def _unfitting(draft: Draft) -> Iterator[str]:
    """Yield the settings, `trainer.steps`, that all cells are given, that the cell's type lacks, and that another type of the component has."""
    for component, family in FAMILIES.items():
        table: Any = draft.table.get(component)
        kind = table.get("type") if isinstance(table, dict) else None
        if not isinstance(kind, str) or kind not in family or family[kind].model_config.get("extra") == "allow":
            continue
        for key in table:
            name = f"{component}.{key}"
            given_to_all = draft.origins.get(name) in (f"defaults.{name}", f"--set {name}")
            if given_to_all and key not in family[kind].model_fields and any(key in cls.model_fields for cls in family.values()):
                yield name
