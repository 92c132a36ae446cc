"""Axes × values → cells.

A sweep table has `[defaults]` (fields shared by all cells), `[axes]` (lists to cross), `[[include]]` (single cells besides the grid), `[[exclude]]` (rules
that drop cells of the grid) and `[search]` (samples from ranges, crossed with every point of the grid). An axis is a component (`model`, `task`, `method`,
`trainer`, whose values are names or tables), or any dotted leaf (`"trainer.lr" = [1e-4, 1e-3]`). Later wins: defaults < component axis < leaf axis < sample <
override.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from loretta_core.config.cell import COMPONENTS, CellConfig
from loretta_core.config.explain import FAMILIES, explain
from loretta_core.config.sweep.sampling import Drawn, Sample, Search
from loretta_core.errors import ConfigError

Table = dict[str, Any]

_ONLY_TYPE = {"model": "pretrained", "engine": "plain"}
"""Their tables may leave `type` out."""


@dataclass(frozen=True)
class Draft:
    """A cell before validation: its raw table, and where each field came from."""

    table: Table
    origins: dict[str, str]
    point: str = ""
    """Which point of the grid was sampled."""
    sample: int = 0
    """Index of the sample."""

    def build(self) -> CellConfig:
        """Validate. Raises ConfigError that names the places in the sweep file."""
        try:
            return CellConfig.model_validate(self.table)
        except ValidationError as error:
            raise ConfigError(explain(error, data=self.table, origins=self.origins, known=[*CellConfig.model_fields])) from None

    @property
    def description(self) -> str:
        """The origins in short, for a cell that could not be built."""
        parts = [_describe(self.table.get(name)) for name in COMPONENTS if name in self.table]
        return " · ".join([*parts, f"seed {self.table.get('seed', 0)}"])


@dataclass
class Tried:
    """A sample of a point of the grid, and the ids of its cells: one per seed, none where the combination is impossible or excluded."""

    sample: Sample
    cells: list[str] = field(default_factory=list)


@dataclass
class Grid:
    """What a sweep expands to."""

    cells: list[CellConfig] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    """Labels of cells that came up again; they run once."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """(description, reason) of impossible combinations, with `skip_invalid`."""
    excluded: int = 0
    """How many grid points the rules dropped."""
    tried: dict[str, list[Tried]] = field(default_factory=dict)
    """Point of the grid, without its seed → its samples, of a sweep with [search]."""


def expand(sweep: Mapping[str, Any], *, overrides: Mapping[str, Any], skip_invalid: bool, drawn: Drawn | None = None) -> Grid:
    """Expand the tables `defaults`, `axes`, `include`, `exclude`, `search` of a sweep.

    `overrides` maps dotted fields to values; one that names an axis replaces its values, any other is laid over every cell. `drawn` are the
    samples of `search` that came from results.
    Raises ConfigError for an impossible combination, unless `skip_invalid`, and when nothing is left to run.
    """
    axes = flatten(sweep.get("axes", {}), where="axes.")
    fixed = {name: value for name, value in overrides.items() if name not in axes}
    replaced = {name: value if isinstance(value, list) else [value] for name, value in overrides.items() if name in axes}
    axes.update(flatten(replaced, where="--set "))
    places = {name: f"--set {name}" if name in replaced else f"axes.{name}" for name in axes}
    rules = [_check_rule(rule, f"exclude[{index}]") for index, rule in enumerate(sweep.get("exclude", []))]
    search = read_search(sweep["search"]) if "search" in sweep else None

    grid = Grid()
    sampled = _sampled(_grid_points(sweep.get("defaults", {}), axes, places, alone=search is not None), search, drawn or {}, fixed, tried=grid.tried)
    points = itertools.chain(sampled, _included(sweep))
    seen: set[str] = set()
    for draft, is_grid in points:
        lay(draft, fixed, origin="--set {}")
        _add(grid, draft, rules=rules if is_grid else [], seen=seen, skip_invalid=skip_invalid)
    if not grid.cells:
        raise ConfigError(_nothing_left(grid, axes))
    return grid


def _add(grid: Grid, draft: Draft, *, rules: list[Table], seen: set[str], skip_invalid: bool) -> None:
    try:
        cell = draft.build()
    except ConfigError as error:
        if any(_matches(rule, draft.table) for rule in rules):
            grid.excluded += 1
        elif skip_invalid:
            grid.skipped.append((draft.description, str(error)))
        else:
            raise
        return
    if any(_matches(rule, cell.to_dict()) for rule in rules):
        grid.excluded += 1
        return
    if draft.point:
        grid.tried[draft.point][draft.sample].cells.append(cell.cell_id)
    if cell.cell_id in seen:
        grid.duplicates.append(cell.label)
    else:
        seen.add(cell.cell_id)
        grid.cells.append(cell)


def by_priority(cells: Sequence[CellConfig], rules: Sequence[Table]) -> list[CellConfig]:
    """Cells that match an earlier rule first; otherwise in their order. Raises ConfigError for a rule that no cell could match."""
    checked = [_check_rule(rule, f"priority[{index}]") for index, rule in enumerate(rules)]
    if not checked:
        return list(cells)
    return sorted(cells, key=lambda cell: next((index for index, rule in enumerate(checked) if _matches(rule, cell.to_dict())), len(checked)))


def read_search(table: Mapping[str, Any]) -> Search:
    """The table [search]. Raises ConfigError."""
    try:
        return Search.model_validate(table)
    except ValidationError as error:
        raise ConfigError("search: " + explain(error, data=table, origins={}, known=[*Search.model_fields])) from None


def _sampled(
    points: Iterator[tuple[Draft, bool]], search: Search | None, drawn: Drawn, fixed: Table, *, tried: dict[str, list[Tried]]
) -> Iterator[tuple[Draft, bool]]:
    for draft, is_grid in points:
        if search is None:
            yield draft, is_grid
            continue
        point = _point({**draft.table, "overrides": fixed})
        samples = search.samples_of(drawn.get(point, ()))
        tried.setdefault(point, [Tried(sample) for sample in samples])
        for index, values in enumerate(samples):
            sample = replace(copy.deepcopy(draft), point=point, sample=index)
            lay(sample, values, origin="search.space.{}")
            yield sample, is_grid


def _point(table: Table) -> str:
    """Names a point of the grid; its seeds share the name. Scores under other overrides suggest nothing for it."""
    return hashlib.sha256(json.dumps({**table, "seed": None}, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _grid_points(defaults: Table, axes: Mapping[str, list[Any]], places: Mapping[str, str], *, alone: bool) -> Iterator[tuple[Draft, bool]]:
    """`alone`: without axes, the defaults are the one point."""
    if not axes and not alone:
        return
    ordered = sorted(axes, key=_axis_order)
    for indices in itertools.product(*(range(len(axes[name])) for name in ordered)):
        draft = _from_defaults(defaults)
        for name, index in zip(ordered, indices, strict=True):
            lay(draft, {name: axes[name][index]}, origin=f"{places[name]}[{index}]")
        yield draft, True


def _axis_order(name: str) -> tuple[int, str]:
    """Components first, since leaves are laid over them; seed last, so that it varies fastest in tables."""
    if name in COMPONENTS:
        return COMPONENTS.index(name), ""
    return (len(COMPONENTS) + 1 if name == "seed" else len(COMPONENTS)), name


def _included(sweep: Mapping[str, Any]) -> Iterator[tuple[Draft, bool]]:
    for index, table in enumerate(sweep.get("include", [])):
        draft = _from_defaults(sweep.get("defaults", {}))
        lay(draft, table, origin=f"include[{index}].{{}}")
        yield draft, False


def _from_defaults(defaults: Mapping[str, Any]) -> Draft:
    draft = Draft(table={}, origins={})
    lay(draft, defaults, origin="defaults.{}")
    return draft


def lay(draft: Draft, fields: Mapping[str, Any], *, origin: str) -> None:
    """Lay `fields` (names may be dotted) over the draft; a table is merged into the one below it."""
    for name, value in fields.items():
        value = as_table(name, value)
        *parents, leaf = name.split(".")
        table = draft.table
        for parent in parents:
            table = table.setdefault(parent, {"type": _ONLY_TYPE[parent]} if parent in _ONLY_TYPE else {})
            if not isinstance(table, dict):
                raise ConfigError(f"{origin.format(name)}: {parent!r} is {table!r}, not a table")
        if isinstance(value, dict) and isinstance(table.get(leaf), dict):
            table[leaf].update(value)
            draft.origins.update({f"{name}.{key}": f"{origin.format(name)}.{key}" for key in value})
        else:
            table[leaf] = value
        draft.origins[name] = origin.format(name)


def as_table(component: str, value: Any) -> Any:
    """`"lora"` → `{type = "lora"}`, `"ddp"` → `{type = "ddp"}`; `"toy-bert"` → `{type = "pretrained", name = "toy-bert"}`; a table is copied."""
    if isinstance(value, str) and component in (*COMPONENTS, "engine"):
        return {"type": "pretrained", "name": value} if component == "model" else {"type": value}
    if isinstance(value, dict) and component in _ONLY_TYPE:
        return {"type": _ONLY_TYPE[component], **copy.deepcopy(value)}
    return copy.deepcopy(value)


def flatten(table: Mapping[str, Any], *, where: str, prefix: str = "") -> dict[str, list[Any]]:
    """Nested axis tables → dotted names. Every leaf must be a non-empty list."""
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


def _check_rule(rule: Any, place: str) -> Table:
    if not isinstance(rule, dict) or not rule:
        raise ConfigError(f'{place} = {rule!r}: expected a table such as {{method = "ft", trainer = "zo_sgd"}}')
    for name in rule:
        first, *rest = name.split(".")
        known = [*CellConfig.model_fields] if not rest else [leaf for cls in FAMILIES.get(first, {}).values() for leaf in cls.model_fields]
        if (rest[0] if rest else first) not in known:
            raise ConfigError(f"{place}.{name}: no cell has such a field")
    return rule


def _matches(rule: Table, table: Mapping[str, Any]) -> bool:
    return all(_value_matches(name, wanted, table) for name, wanted in rule.items())


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


def _describe(component: Any) -> str:
    if not isinstance(component, Mapping):
        return str(component)
    return str(component.get("name", component.get("type", "?")))


def _nothing_left(grid: Grid, axes: Mapping[str, list[Any]]) -> str:
    if not axes and not grid.skipped:
        return "the sweep expands to no cell: it has neither [axes] nor [[include]]"
    reasons = "".join(f"\n  {description}: {reason}" for description, reason in grid.skipped[:5])
    return f"the sweep expands to no cell: {grid.excluded} excluded, {len(grid.skipped)} invalid{reasons}"
