"""The expansion of a sweep: axes × values → cells.

A sweep table has `[defaults]` (fields shared by all cells), `[axes]` (lists to cross), `[[include]]` (single cells besides the grid), `[[exclude]]` (rules
that drop cells of the grid) and `[search]` (samples from ranges, crossed with every point of the grid). An axis is a component (`model`, `task`, `method`,
`trainer`, whose values are names or tables), or any dotted leaf (`"trainer.lr" = [1e-4, 1e-3]`). Later wins: defaults < component axis < leaf axis < sample <
override.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loretta_core.config.cell import CellConfig
from loretta_core.config.sweep.axes import check_axes, flatten, grid_points, included
from loretta_core.config.sweep.draft import Draft, lay
from loretta_core.config.sweep.leftovers import Leftovers
from loretta_core.config.sweep.rules import check_rule, matches
from loretta_core.config.sweep.samples import Tried, read_search, sampled
from loretta_core.config.sweep.search import Drawn
from loretta_core.config.toml import Table
from loretta_core.errors import ConfigError


@dataclass
class Grid:
    """The cells of a sweep, and what was left out."""

    cells: list[CellConfig] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    """What each cell was built from."""
    duplicates: list[str] = field(default_factory=list)
    """Labels of cells that are named more than once; they run once."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """(description, reason) of impossible combinations, with `skip_invalid`."""
    excluded: int = 0
    """How many grid points the rules dropped."""
    matched: set[int] = field(default_factory=set)
    """Which of the rules matched a point."""
    leftovers: Leftovers = field(default_factory=Leftovers)
    """Settings that were left out of cells which have none of that name."""
    tried: dict[str, list[Tried]] = field(default_factory=dict)
    """Name of a grid point, without its seed → its samples, in a sweep with [search]."""


def expand(sweep: Mapping[str, Any], *, overrides: Mapping[str, Any], skip_invalid: bool, drawn: Drawn | None = None) -> Grid:
    """Return the cells of the tables `defaults`, `axes`, `include`, `exclude`, `search` of a sweep, in the order of the axes.

    Without axes, the defaults are the one point, unless there are single cells in `include`. `overrides` maps dotted fields to values; one that names an axis
    replaces its values, any other is laid over every cell. `drawn` are the samples of `search` that came from results.
    Raises ConfigError for an impossible combination, unless `skip_invalid`, and when nothing is left to run.
    """
    axes = flatten(sweep.get("axes", {}), where="axes.")
    fixed = {name: value for name, value in overrides.items() if name not in axes}
    replaced = {name: value if isinstance(value, list) else [value] for name, value in overrides.items() if name in axes}
    axes.update(flatten(replaced, where="--set "))
    check_axes(axes)
    places = {name: f"--set {name}" if name in replaced else f"axes.{name}" for name in axes}
    rules = [check_rule(rule, place=f"exclude[{index}]") for index, rule in enumerate(sweep.get("exclude", []))]
    search = read_search(sweep["search"]) if "search" in sweep else None

    grid = Grid()
    points = grid_points(sweep.get("defaults", {}), axes, places, alone=search is not None or not sweep.get("include"))
    if search is not None:
        points = sampled(points, search=search, drawn=drawn or {}, fixed=fixed, tried=grid.tried)
    seen: set[str] = set()
    for draft, applied in itertools.chain(((point, rules) for point in points), ((single, []) for single in included(sweep))):
        lay(draft, fixed, origin="--set {}")
        _add(grid, draft, rules=applied, seen=seen, skip_invalid=skip_invalid)
    if not grid.cells:
        raise ConfigError(_nothing_left(grid))
    grid.leftovers.check(grid.drafts)
    return grid


def _add(grid: Grid, draft: Draft, *, rules: list[Table], seen: set[str], skip_invalid: bool) -> None:
    draft = grid.leftovers.remove_from(draft)
    try:
        cell = draft.build()
    except ConfigError as error:
        if _is_excluded(grid, draft.table, rules):
            grid.excluded += 1
        elif skip_invalid:
            grid.skipped.append((draft.description, str(error)))
        else:
            raise
        return
    if _is_excluded(grid, cell.to_dict(), rules):
        grid.excluded += 1
        return
    if draft.point:
        grid.tried[draft.point][draft.sample].cells.append(cell.cell_id)
    if cell.cell_id in seen:
        grid.duplicates.append(cell.label)
    else:
        seen.add(cell.cell_id)
        grid.cells.append(cell)
        grid.drafts.append(draft)


def _is_excluded(grid: Grid, table: Mapping[str, Any], rules: list[Table]) -> bool:
    matched = {index for index, rule in enumerate(rules) if matches(rule, table)}
    grid.matched |= matched
    return bool(matched)


def _nothing_left(grid: Grid) -> str:
    reasons = "".join(f"\n  {description}: {reason}" for description, reason in grid.skipped[:5])
    return f"the sweep expands to no cell: {grid.excluded} excluded, {len(grid.skipped)} invalid{reasons}"
