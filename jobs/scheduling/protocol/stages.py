"""The next cells of a sweep with `[tune]` or `[replicate]`, as a function of its records.

    trials (all at once, or in rounds by Optuna) ─► winners ─► replicates ─► in a race: looks, each with one more seed for who is not eliminated

A stage begins when all cells of the one before are over. Failed trials are over, and so are those that were stopped early.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.scheduling.optuna_search import Scored, suggest
from jobs.scheduling.protocol.race import next_look
from jobs.scheduling.protocol.winners import choose_winner
from jobs.storage.ledger import read_status
from loretta_core.config import CellConfig, SweepConfig
from loretta_core.config.sweep.contenders import GridContender, sample_of
from loretta_core.config.sweep.search import Range
from loretta_core.errors import ConfigError
from loretta_core.store.early_stops import EarlyStop, read_early_stops
from loretta_core.store.records import Record


@dataclass(frozen=True)
class Results:
    """The cells of a sweep that are over, by how they ended."""

    finished: Mapping[str, Record]
    failed: Mapping[str, Record]
    stopped: Mapping[str, EarlyStop]

    def over(self, cells: Iterable[CellConfig]) -> bool:
        """Return whether all cells are over, however they ended."""
        known = self.finished.keys() | self.failed.keys() | self.stopped.keys()
        return all(cell.cell_id in known for cell in cells)

    def validation(self, trial: CellConfig) -> float | None:
        """Return the validation score of a trial; for one that was stopped early, its best."""
        if (record := self.finished.get(trial.cell_id)) is not None:
            return record.score.validation
        stop = self.stopped.get(trial.cell_id)
        return max((score for _, score in stop.points), default=None) if stop is not None else None


def next_stage(config: SweepConfig, *, out: Path) -> SweepConfig | None:
    """Return the sweep with its next trials, winners or replicates; None when it is complete, or cells are still to be computed."""
    status = read_status(out, config.cells)
    results = Results(status.finished, status.failed, read_early_stops(out, name=config.name))
    if not results.over(config.cells):
        return None
    contenders = tuple(_after_trials(contender, config, results) for contender in config.contenders)
    if contenders == config.contenders and config.replicate is not None and config.replicate.looks:
        contenders = next_look(contenders, results.finished, out=out, replicate=config.replicate)
    return None if contenders == config.contenders else config.with_contenders(contenders)


def settled_failures(config: SweepConfig, failed: Iterable[str]) -> set[str]:
    """Return the failed cells that are not computed again: trials of contenders whose winner is chosen."""
    trials = {trial.cell_id for contender in config.contenders if contender.winner is not None for trial in contender.trials}
    return trials & set(failed)


def _after_trials(contender: GridContender, config: SweepConfig, results: Results) -> GridContender:
    """Return a contender with further trials, or with its winner and its first replicates."""
    if contender.lacks_trials:
        return replace(contender, drawn=(*contender.drawn, *_suggested(contender, results)))
    if contender.decided:
        return contender
    assert config.tune is not None
    choice = choose_winner(contender, results.finished, tolerance=config.tune.tolerance)
    notes = tuple(dict.fromkeys([*contender.notes, *choice.notes]))
    if choice.winner is None:
        return replace(contender, notes=notes)
    return replace(contender, winner=choice.winner, notes=notes, seeds=config.replicate.first if config.replicate else 0)


def _suggested(contender: GridContender, results: Results) -> list[CellConfig]:
    """Return the trials that Optuna suggests next; the contender's own setting in place of an impossible one."""
    search = contender.search
    scored: list[Scored] = [
        (sample_of(trial, search.space), results.validation(trial)) for trial in contender.trials if _is_inside(sample_of(trial, search.space), contender)
    ]
    count = min(search.per_round, contender.lacks_trials)
    found = []
    for sample in suggest(search, scored, point=f"{contender.cell.cell_id}/{len(contender.trials)}", count=count):
        try:
            found.append(contender.trial_with(sample))
        except ConfigError:
            if not contender.skip_invalid:
                raise
            found.append(contender.cell)
    return found


def _is_inside(sample: Mapping[str, object], contender: GridContender) -> bool:
    """Return whether Optuna can be told of a sample: the first trial may have a value that the space has not."""
    space = contender.space or {}
    return all(
        value in values if isinstance(values, list) else isinstance(values, Range) and isinstance(value, int | float)
        for (value, values) in ((sample[name], space[name]) for name in space)
    )
