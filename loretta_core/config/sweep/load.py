"""Loading of sweep files: TOML with overrides → SweepConfig.

TOML is for people; every setting is in it. The command line adds no knobs of its own, only `--set key=value` on the same names.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SkipValidation, ValidationError

from loretta_core.config.cell import CellConfig
from loretta_core.config.explain import explain
from loretta_core.config.overrides import override_file
from loretta_core.config.sweep.axes import flatten
from loretta_core.config.sweep.contenders import GridContender, cells_of, make_contenders
from loretta_core.config.sweep.grid import Grid, expand
from loretta_core.config.sweep.limits import Budget, EarlyStopping
from loretta_core.config.sweep.protocol import Decide, Replicate, Tune
from loretta_core.config.sweep.rules import by_priority, matches_apart_from, unmatched
from loretta_core.config.sweep.samples import Tried, read_search
from loretta_core.config.sweep.search import Drawn, Search
from loretta_core.config.toml import Table, parse_override, read_toml
from loretta_core.errors import ConfigError
from loretta_core.schema import Strict

SinkName = Literal["mlflow", "tensorboard", "wandb"]
ExecutorName = Literal["train", "inline"]
PackSetting = Literal["auto", "off"] | Annotated[int, Field(ge=2, le=64)]


class SweepHeader(Strict):
    """The keys of a sweep file that are not cells."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """Names the sweep's directory, MLflow experiment and report."""
    description: str = ""
    """A sentence for the report's head."""
    output: str = Field("outputs", min_length=1)
    """Directory of records, adapters, MLflow data and reports; shared by all sweeps."""
    skip_invalid: bool = False
    """Leave out impossible combinations of the grid and list them, instead of refusing the sweep."""
    max_concurrent: int | None = Field(None, ge=1)
    """Most cells computed at the same time; None fills the cluster."""
    priority: tuple[dict[str, Any], ...] = ()
    """Rules like those of `[[exclude]]`: cells that match an earlier one are computed earlier, the others last."""
    budget: Budget | None = None
    """What one start of the sweep may spend."""
    early_stopping: EarlyStopping | None = None
    """End cells early that do worse than others of their kind; None computes every cell to its end."""
    tune: Tune | None = None
    """Every contender gets the same trials, judged on validation rows."""
    replicate: Replicate | None = None
    """The winner of each contender is trained with further seeds; only these are scored on the test rows."""
    decide: Decide = Decide()
    """What a verdict must respect."""
    mirror: str | None = Field(None, pattern=r"^[a-z][a-z0-9]*://")
    """Where finished cells are copied to and looked for, e.g. `s3://bucket/prefix`; placement, like `output`. None keeps them in `output` alone."""
    sinks: tuple[SinkName, ...] = ("mlflow",)
    """Where cells are sent besides their directories: `mlflow`, `tensorboard` (needs the extra `tensorboard`), `wandb` (the extra `wandb`); none with []."""
    max_upload_mib: float = Field(100.0, ge=0)
    """Trained weights up to this size are copied to MLflow; of larger ones, such as a full fine-tuning's, it gets the path and the digest."""
    executor: ExecutorName = "train"
    """Where cells are computed; placement, like an engine. `train`: warm Ray Train worker groups of any size. `inline`: the processes of Ray Tune's trials,
    for cells of one worker; the results are the same."""
    pack: PackSetting = "auto"
    """Cells that share their model, task and method may be computed together in one process, on one copy of the frozen weights, with one forward for all;
    placement, and equal to rounding. `auto`: zeroth-order cells of the same seed, up to 8. A number: up to so many, of any seeds, first order too. `off`: none.
    Executor `train` only."""


@dataclass(frozen=True)
class Rounds:
    """The state of a search whose later cells depend on results."""

    search: Search
    tried: Mapping[str, list[Tried]]
    """Name of a grid point → its samples so far."""
    raw: Table
    """The sweep file, as it was read."""
    changes: Mapping[str, Any]
    """The overrides."""

    @property
    def complete(self) -> bool:
        """True once every point has all its samples."""
        return all(len(tried) >= self.search.samples for tried in self.tried.values())

    @property
    def drawn(self) -> Drawn:
        """The samples that came from results."""
        return {point: [each.sample for each in tried[self.search.begins_with :]] for point, tried in self.tried.items()}


class SweepConfig(SweepHeader):
    """A sweep file, expanded."""

    cells: tuple[CellConfig, ...]
    """The distinct cells, in the order of the axes."""
    duplicates: tuple[str, ...] = ()
    """Labels of cells that are named more than once; each runs once."""
    skipped: tuple[tuple[str, str], ...] = ()
    """(description, reason) of impossible combinations left out by `skip_invalid`."""
    excluded: int = 0
    """How many grid points the `[[exclude]]` rules dropped."""
    notices: tuple[str, ...] = ()
    """What people should know of the file: rules that match nothing, settings that were left out of cells which have none of that name."""
    text: str = Field("", exclude=True, repr=False)
    """The sweep file as it was read, with the overrides as comments below it."""
    rounds: Rounds | None = Field(None, exclude=True, repr=False)
    """State of a search whose later cells depend on results; None where all cells are known."""
    contenders: SkipValidation[tuple[GridContender, ...]] = Field((), exclude=True, repr=False)
    """The points of the grid, in a sweep with [tune] or [replicate]."""

    def grown(self, drawn: Drawn) -> SweepConfig:
        """Return the same sweep with these samples from results."""
        assert self.rounds is not None
        return _resolve(self.rounds.raw, self.rounds.changes, drawn=drawn).model_copy(update={"text": self.text})

    def with_contenders(self, contenders: Iterable[GridContender]) -> SweepConfig:
        """Return the same sweep after results changed its contenders, with their cells. Raises ConfigError for an impossible trial."""
        contenders = tuple(contenders)
        impossible = (skipped for contender in contenders for skipped in contender.impossible)
        return self.model_copy(
            update={
                "contenders": contenders,
                "cells": tuple(by_priority(cells_of(contenders), self.priority)),
                "skipped": tuple(dict.fromkeys([*self.skipped, *impossible])),
            }
        )


_TABLES = ("defaults", "axes", "include", "exclude", "search")
_HEADER_TABLES = {"budget": Budget, "early_stopping": EarlyStopping, "tune": Tune, "replicate": Replicate, "decide": Decide}
FILE_KEYS = (*SweepHeader.model_fields, *_TABLES)
"""The keys of a sweep file."""


def load_sweep(path: str | Path, *, overrides: Iterable[str] = ()) -> SweepConfig:
    """Read, override, expand and validate a sweep file.

    Raises ConfigError that names the file, the place in it, what was given and what is allowed.
    """
    path = Path(path)
    try:
        raw = read_toml(path)
        raw.setdefault("name", path.stem)
        sweep = resolve_sweep(raw, overrides=overrides)
        return sweep.model_copy(update={"text": "".join([path.read_text(encoding="utf-8-sig"), sweep.text])})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def resolve_sweep(raw: Table, *, overrides: Iterable[str] = ()) -> SweepConfig:
    """Return a parsed sweep file, overridden, expanded and validated. Raises ConfigError."""
    overrides = list(overrides)
    sweep = _resolve(raw, dict(parse_override(text) for text in overrides))
    return sweep.model_copy(update={"text": "".join(f"\n# --set {override}" for override in overrides)})


def sweep_from_overrides(overrides: Iterable[str]) -> SweepConfig:
    """Return a sweep of one cell from `key=value` texts alone, as `loretta run` does. Raises ConfigError, also where they make several cells."""
    sweep = resolve_sweep({"name": "run"}, overrides=overrides)
    if len(sweep.cells) > 1 or sweep.contenders:
        raise ConfigError(f"these settings make {len(sweep.cells)} cells, and one was asked for; write a sweep file, and run it with `loretta sweep FILE`")
    name = f"run-{sweep.cells[0].cell_id}" if sweep.name == "run" else sweep.name
    return sweep.model_copy(update={"name": name, "description": sweep.description or sweep.cells[0].label})


def cell_from_overrides(overrides: Iterable[str]) -> CellConfig:
    """Return one cell from `key=value` texts alone."""
    return sweep_from_overrides(overrides).cells[0]


def _resolve(given: Table, overrides: Mapping[str, Any], *, drawn: Drawn | None = None) -> SweepConfig:
    raw, changes = override_file(given, overrides, keys=FILE_KEYS)
    tables = {name: raw.pop(name) for name in _TABLES if name in raw}
    try:
        header = SweepHeader.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(explain(error, data=raw, origins={}, known=FILE_KEYS, tables=_HEADER_TABLES)) from None
    for name, kind in {"defaults": dict, "axes": dict, "include": list, "exclude": list, "search": dict}.items():
        if not isinstance(tables.get(name, kind()), kind):
            wanted = f"[{name}]" if kind is dict else f"[[{name}]]"
            raise ConfigError(f"{name} = {tables[name]!r}: expected the table {wanted}")
    _check_price(header)
    protocol = header.tune is not None or header.replicate is not None
    if protocol:
        _check_protocol(tables, header=header)
    grid = expand(copy.deepcopy(tables), overrides=changes, skip_invalid=header.skip_invalid, drawn=drawn)
    search = read_search(tables["search"]) if "search" in tables else None
    _check_executor(header.executor, grid.cells)
    settings = {name: getattr(header, name) for name in SweepHeader.model_fields}
    sweep = SweepConfig(
        **settings,
        cells=tuple(by_priority(grid.cells, header.priority)),
        duplicates=tuple(grid.duplicates),
        skipped=tuple(grid.skipped),
        excluded=grid.excluded,
        notices=(*unmatched(tables.get("exclude", ()), grid.matched, where="exclude"), *grid.leftovers.notices),
        rounds=Rounds(search, grid.tried, given, overrides) if search is not None and search.algorithm == "optuna" else None,
    )
    if protocol:
        sweep = _with_protocol(sweep, grid, fixed=[*flatten(tables.get("axes", {}), where="axes."), *changes])
    return sweep.model_copy(update={"notices": (*sweep.notices, *_idle_priorities(sweep, grid.cells))})


def _idle_priorities(sweep: SweepConfig, points: Iterable[CellConfig]) -> list[str]:
    """Return a line for every rule of `priority` that matches no point, whatever its seed and its samples, where later cells have others."""
    open_settings = {"seed"} if sweep.contenders else set()
    for space in [*(contender.space for contender in sweep.contenders), *([sweep.rounds.search.space] if sweep.rounds else [])]:
        open_settings |= (space or {}).keys()
    matched = {index for cell in points for index, rule in enumerate(sweep.priority) if matches_apart_from(open_settings, rule, cell.to_dict())}
    return unmatched(sweep.priority, matched, where="priority")


def _with_protocol(sweep: SweepConfig, grid: Grid, *, fixed: Iterable[str]) -> SweepConfig:
    """Return the sweep with its points as contenders."""
    points = zip(grid.cells, grid.drafts, strict=True)
    contenders, repeated = make_contenders(points, tune=sweep.tune, replicate=sweep.replicate, fixed=fixed, skip_invalid=sweep.skip_invalid)
    return sweep.model_copy(update={"duplicates": (*sweep.duplicates, *repeated)}).with_contenders(contenders)


def _check_protocol(tables: Mapping[str, Any], *, header: SweepHeader) -> None:
    """Raise ConfigError for what does not go with [tune] and [replicate]."""
    given = "[tune]" if header.tune is not None else "[replicate]"
    if "search" in tables:
        raise ConfigError(f"[search] and {given}: one of them. [tune] supersedes [search]: `samples` is `tune.trials`, the other keys have the same names")
    if "seed" in flatten(tables.get("axes", {}), where="axes."):
        raise ConfigError(f"axes.seed with {given}: seeds are given by [replicate] seeds, e.g. seeds = 5; leave the axis out")


def _check_price(header: SweepHeader) -> None:
    """Raise ConfigError where an answer has to respect a price and none is known: it would rule out every contender."""
    if header.decide.max_usd is not None and (header.budget is None or header.budget.usd_per_hour is None):
        raise ConfigError(f"decide.max_usd = {header.decide.max_usd:g}: what a device costs is not known; give budget.usd_per_hour, or decide.max_train_hours")


def _check_executor(executor: ExecutorName, cells: Iterable[CellConfig]) -> None:
    crowded = next((cell for cell in cells if executor == "inline" and cell.engine.workers > 1), None)
    if crowded is not None:
        engine = f"{{type = {crowded.engine.type!r}, workers = {crowded.engine.workers}}}".replace("'", '"')
        raise ConfigError(
            f'executor = "inline" computes a cell in one process, and {crowded.label} has engine = {engine}; use executor = "train", the default, or '
            'engine = "plain"'
        )
