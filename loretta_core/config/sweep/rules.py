"""Rules of a sweep file that select cells, `{method = "ft", "trainer.type" = ["zo_sgd"]}`: in `[[exclude]]` and `priority`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from loretta_core.config.cell import COMPONENTS, CellConfig
from loretta_core.config.explain import FAMILIES, shown
from loretta_core.config.sweep.draft import as_table
from loretta_core.config.toml import Table
from loretta_core.errors import ConfigError


def check_rule(rule: Any, *, place: str) -> Table:
    """Return the rule. Raises ConfigError, naming its `place` in the file, where it is no table or names a field that no cell has."""
    if not isinstance(rule, dict) or not rule:
        raise ConfigError(f'{place} = {rule!r}: expected a table such as {{method = "ft", trainer = "zo_sgd"}}')
    for name in rule:
        first, *rest = name.split(".")
        known = [*CellConfig.model_fields] if not rest else [leaf for cls in FAMILIES.get(first, {}).values() for leaf in cls.model_fields]
        if (rest[0] if rest else first) not in known:
            raise ConfigError(f"{place}.{name}: no cell has such a field")
    return rule


def matches(rule: Table, table: Mapping[str, Any]) -> bool:
    """Return whether every field that the rule names has the wanted value, or one of the wanted values, in a cell's table."""
    return all(_value_matches(name, wanted, table) for name, wanted in rule.items())


def matches_apart_from(names: Collection[str], rule: Table, table: Mapping[str, Any]) -> bool:
    """Return whether a rule matches, if what it says of these fields is left aside."""
    return matches({name: wanted for name, wanted in rule.items() if name not in names}, table)


def unmatched(rules: Sequence[Table], matched: Collection[int], *, where: str) -> list[str]:
    """Return a line for every rule that matched nothing; `where` is the key that holds the rules."""
    return [f"{where}[{index}] = {shown(rule)}: matches no cell" for index, rule in enumerate(rules) if index not in matched]


def by_priority(cells: Sequence[CellConfig], rules: Sequence[Table]) -> list[CellConfig]:
    """Return the cells, those that match an earlier rule first, otherwise in their order. Raises ConfigError for a rule that no cell could match."""
    checked = [check_rule(rule, place=f"priority[{index}]") for index, rule in enumerate(rules)]
    if not checked:
        return list(cells)
    return sorted(cells, key=lambda cell: next((index for index, rule in enumerate(checked) if matches(rule, cell.to_dict())), len(checked)))


def _value_matches(name: str, wanted: Any, table: Mapping[str, Any]) -> bool:
    value: Any = table
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    choices = wanted if isinstance(wanted, list) else [wanted]
    if name in COMPONENTS and isinstance(value, Mapping):
        return any(_component_matches(name, choice, value) for choice in choices)
    return value in choices


def _component_matches(name: str, wanted: Any, value: Mapping[str, Any]) -> bool:
    table = as_table(name, wanted)
    return isinstance(table, dict) and all(value.get(key) == item for key, item in table.items())
