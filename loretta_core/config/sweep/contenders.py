"""Contenders: the points of the grid of a sweep with `[tune]` or `[replicate]`, each with its trials and its replicates.

    point of the grid ─► trials (trial seed, validation rows only) ─► winner ─► replicates (seeds of their own, scored on the test rows)

What depends on results (later trials of Optuna, winners, how far a race has come) is laid over a contender with `dataclasses.replace`; its cells follow.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from loretta_core.config.cell import CellConfig
from loretta_core.config.sweep.draft import Draft, lay
from loretta_core.config.sweep.protocol import FIRST_REPLICATE_SEED, Replicate, Tune
from loretta_core.config.sweep.search import Range, Sample, Search, Space, drawn_value
from loretta_core.config.sweep.spaces import default_ranges, has_setting, setting_of
from loretta_core.errors import ConfigError


@dataclass(frozen=True)
class GridContender:
    """A point of the grid, without its seed."""

    cell: CellConfig
    """The contender as the file has it."""
    draft: Draft
    """Its table, over which samples are laid."""
    tune: Tune | None = None
    space: Mapping[str, Range | list[object]] | None = None
    """What its settings are sampled from; nothing where it is not tuned."""
    count: int | None = None
    """Number of its trials; None while a budget has not been turned into one."""
    skip_invalid: bool = False
    """Leave out impossible trials, instead of refusing the sweep."""
    first: tuple[Sample, ...] = ()
    """Samples to try after the first trial: winners of another sweep."""
    drawn: tuple[CellConfig, ...] = ()
    """Trials that results suggested."""
    winner: str | None = None
    """Id of the trial that was chosen; None: not tuned, or not decided yet."""
    seeds: int = 0
    """Number of its replicates so far."""
    eliminated_at: int | None = None
    """Number of seeds after which a race ended for it."""
    notes: tuple[str, ...] = ()
    """What people should know of its tuning."""

    @property
    def tuned(self) -> bool:
        """True if it has trials: there is something to tune."""
        return bool(self.space)

    @property
    def known_trials(self) -> int:
        """Number of trials that need no result."""
        if not self.tuned or self.tune is None:
            return 0
        count = 1 if self.count is None else self.count
        return count if self.tune.algorithm == "random" else min(count, max(self.tune.startup, 1 + len(self.first)))

    @property
    def lacks_trials(self) -> int:
        """Number of trials that results have yet to suggest."""
        return (self.count or 0) - len(self.trials) if self.tuned and self.tune is not None and self.tune.algorithm == "optuna" else 0

    @cached_property
    def trials(self) -> tuple[CellConfig, ...]:
        """Its trials so far, in their order; a sample that comes twice is there twice, and computed once."""
        return (*(trial for trial, _ in self._given if trial is not None), *self.drawn)

    @property
    def impossible(self) -> tuple[tuple[str, str], ...]:
        """(Description, reason) of trials that are left out."""
        return tuple((self.cell.label, reason) for trial, reason in self._given if trial is None)

    @property
    def decided(self) -> bool:
        """True if its settings are known, so that it can be replicated."""
        return not self.tuned or self.winner is not None

    @cached_property
    def chosen(self) -> CellConfig | None:
        """The cell whose settings its replicates have; None while it is not decided."""
        if not self.tuned:
            return self.cell
        return next((trial for trial in self.trials if trial.cell_id == self.winner), None)

    @cached_property
    def replicates(self) -> tuple[CellConfig, ...]:
        """Its replicates so far, which differ in their seed alone."""
        return () if self.chosen is None else tuple(with_seed(self.chosen, FIRST_REPLICATE_SEED + index, score_test=True) for index in range(self.seeds))

    @property
    def search(self) -> Search:
        """The search that suggests further trials from results."""
        assert self.tune is not None
        assert self.space
        return self.tune.search(dict(self.space))

    def random_sample(self, index: int) -> Sample:
        """Return the random sample with this index."""
        assert self.tune is not None
        assert self.space is not None
        return {name: drawn_value(values, seed=self.tune.seed, index=index, name=name) for name, values in self.space.items()}

    def trial_with(self, sample: Sample) -> CellConfig:
        """Return the trial with these settings. Raises ConfigError for an impossible one."""
        draft = copy.deepcopy(self.draft)
        lay(draft, sample, origin="tune.space.{}")
        return with_seed(draft.build(), self.cell.seed, score_test=False)

    @cached_property
    def _given(self) -> tuple[tuple[CellConfig | None, str], ...]:
        """The trials that need no result, or why there is none."""
        samples: list[Sample] = [{}, *self.first]
        samples += map(self.random_sample, range(max(0, self.known_trials - len(samples))))
        return tuple(map(self._try_build, samples[: self.known_trials]))

    def _try_build(self, sample: Sample) -> tuple[CellConfig | None, str]:
        try:
            return self.trial_with(sample), ""
        except ConfigError as error:
            if not self.skip_invalid:
                raise
            return None, str(error)


def with_seed(cell: CellConfig, seed: int, *, score_test: bool) -> CellConfig:
    """Return the same run with another seed."""
    return CellConfig.model_validate({**cell.model_dump(), "seed": seed, "score_test": score_test})


def make_contenders(
    points: Iterable[tuple[CellConfig, Draft]],
    *,
    tune: Tune | None,
    replicate: Replicate | None,
    fixed: Iterable[str],
    skip_invalid: bool,
) -> tuple[tuple[GridContender, ...], list[str]]:
    """Return the contenders, and labels of points that differ from another one in their seed alone.

    Args:
        fixed: dotted settings that axes or overrides set; they are not sampled.

    Raises ConfigError for a seed or a space that does not go with the protocol.
    """
    found: dict[str, GridContender] = {}
    repeated = []
    fixed = list(fixed)
    points = list(points)
    if tune is not None and tune.space is not None:
        _check_space(tune.space, [cell for cell, _ in points], fixed=fixed)
    for cell, draft in points:
        _check_seed(cell, tuned=tune is not None)
        key = with_seed(cell, 0, score_test=True).cell_id
        if key in found:
            repeated.append(cell.label)
            continue
        space = {} if tune is None else space_of(cell, tune=tune, fixed=fixed)
        contender = GridContender(with_seed(cell, cell.seed, score_test=not space), draft, tune, space, None if tune is None else tune.trials, skip_invalid)
        untuned = not contender.tuned and replicate is not None
        found[key] = replace(contender, seeds=replicate.first if untuned and replicate else 0, notes=("nothing to tune",) if tune and not space else ())
    return tuple(found.values()), repeated


def space_of(cell: CellConfig, *, tune: Tune, fixed: Sequence[str]) -> Space:
    """Return what the settings of a contender are sampled from: the settings of `tune.space` that it has, or its default ranges without what is fixed."""
    if tune.space is not None:
        return {name: values for name, values in tune.space.items() if has_setting(cell, name)}
    ranges = default_ranges(cell)
    return {name: Range(low=found.low, high=found.high, log=found.log) for name, found in ranges.items() if name not in fixed}


def cells_of(contenders: Iterable[GridContender]) -> list[CellConfig]:
    """Return the distinct cells of all contenders: trials, then replicates."""
    contenders = list(contenders)
    cells: dict[str, CellConfig] = {}
    for cell in (*_all_trials(contenders), *(cell for contender in contenders for cell in contender.replicates)):
        cells.setdefault(cell.cell_id, cell)
    return [*cells.values()]


def sample_of(trial: CellConfig, names: Iterable[str]) -> Sample:
    """Return the values that a trial has for these settings."""
    return {name: setting_of(trial, name) for name in names}


def _all_trials(contenders: Iterable[GridContender]) -> Iterator[CellConfig]:
    return (trial for contender in contenders for trial in contender.trials)


def _check_seed(cell: CellConfig, *, tuned: bool) -> None:
    if cell.seed >= FIRST_REPLICATE_SEED:
        raise ConfigError(f"seed = {cell.seed}: replicates have the seeds from {FIRST_REPLICATE_SEED} on, so that trials never share one; give a smaller seed")
    if cell.seed and not tuned:
        raise ConfigError(f"seed = {cell.seed}: seeds are given by [replicate] seeds; leave it out")


def _check_space(space: Space, cells: Sequence[CellConfig], *, fixed: Sequence[str]) -> None:
    for name in space:
        if name == "seed":
            raise ConfigError("tune.space.seed: a seed is no setting to choose; seeds are given by [replicate] seeds")
        if name in fixed:
            raise ConfigError(f"tune.space.{name}: axes or --set give {name} too; a setting is either tuned or what is compared")
        if not any(has_setting(cell, name) for cell in cells):
            raise ConfigError(f"tune.space.{name}: no contender has such a setting")
