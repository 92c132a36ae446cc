"""Ray Tune in front of an executor: one trial is one pack of cells, most often one cell.

A trial hands its cells to the executor's client and reports the outcomes; its process is reused for the next trial. A failed cell is a trial that ended well
with the outcome "failed": Tune must not retry what it does not understand. What is left to Tune is a trial whose process died: it starts again, with its cells
as `failures/retry.py` changes them.
"""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.result import DONE
from ray.tune.search import Searcher

from jobs.execution.executor import CellRunner
from jobs.failures import retry
from jobs.failures.outcome import Outcome
from jobs.scheduling.packing import Pack
from loretta_core.config import CellConfig

if TYPE_CHECKING:
    from jobs.execution.executor import Executor

MOST_DEATHS = 16
"""Process deaths that Tune lets a trial have; `failures/retry.py` gives up long before, except on a cell that is halved again and again."""

PARTING_S = 120.0
"""The time that running cells have to end after an interrupt."""


class TrialSource(Protocol):
    """Decides which packs the trials compute, and takes the outcomes of their cells. Tune calls it in the driver, from one thread."""

    @property
    def has_rounds(self) -> bool:
        """True when there may be further packs after all are over."""
        ...

    def next_packs(self) -> Sequence[Pack]:
        """Return further packs, or none; called when all are over."""
        ...

    def try_start(self, cell: CellConfig, *, pack_size: int) -> bool:
        """Start the next cell, in a pack of so many, if it may start; returns whether it may. If not, all cells after it are left, too."""
        ...

    def on_outcome(self, outcome: Outcome) -> None:
        """Take the outcome of a cell."""
        ...


def run_trials(packs: Sequence[Pack], *, source: TrialSource, executor: Executor, directory: Path, stop: threading.Event) -> None:
    """Run packs of cells as trials, in their order, while they may start.

    Args:
        source: which cells may start, and further packs.
        executor: computes them. Where it does so in the process of the trial, `failures/retry.py` decides what a trial whose process died starts again with; a
            trial that only waits begins to wait again, as often as Tune lets it.
        directory: for Tune's bookkeeping; emptied first, since the records decide what is done and Tune's state does not.
        stop: set to end early: no further cell starts, and those that run have `PARTING_S` seconds to end.
    """
    shutil.rmtree(directory, ignore_errors=True)
    logging.getLogger("ray.tune.execution.experiment_state").setLevel(logging.CRITICAL)  # `cell_lifecycle.py` reports a full disk, once
    searcher = PackSearcher(packs, source=source, executor=executor, stop=stop)
    tuner = tune.Tuner(
        tune.with_resources(_trainable(executor.client()), executor.trial_resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=directory.name,
            storage_path=str(directory.parent.resolve()),
            callbacks=[_OutcomeCallback(source, searcher), *([_RetryCallback()] if executor.in_trials else [])],
            stop=_StopDeadline(stop),
            failure_config=tune.FailureConfig(max_failures=MOST_DEATHS),
            verbose=0,
        ),
    )
    tuner.fit()


def _trainable(client: CellRunner) -> Callable[[dict[str, Any]], None]:
    def cells(config: dict[str, Any]) -> None:
        over: Iterable[Outcome] = [Outcome(**one) for one in config["over"]] if "over" in config else client.run(_cells(config))
        for left, outcome in zip(range(len(config["cells"]) - 1, -1, -1), over, strict=True):
            tune.report({DONE: left == 0, "outcome": outcome.to_dict()})  # without DONE, Tune would ask for another result, to learn that there is none

    return cells


def _cells(config: dict[str, Any]) -> Pack:
    return tuple(map(CellConfig.from_json, config["cells"]))


def _name(trial: Trial) -> str:
    """Return the id of the trial's first cell: no two packs begin with the same."""
    return _cells(trial.config)[0].cell_id


class _NotPickled:
    """Base of what stays in this process: Tune pickles its configuration for a restore that we never use."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class PackSearcher(_NotPickled, Searcher):
    """Tune's search algorithm. It hands out the packs one by one, when there is room for another, so that the next cell is chosen as late as possible."""

    def __init__(self, packs: Sequence[Pack], *, source: TrialSource, executor: Executor, stop: threading.Event) -> None:
        super().__init__()
        self._waiting = deque(packs)
        self._source = source
        self._executor = executor
        self._stop = stop
        self._running = 0

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the configuration of the next trial; None means ask again later."""
        if self._running >= self._executor.at_once:
            return None
        if not self._waiting and self._source.has_rounds and not self._stop.is_set():
            if self._running:
                return None
            self._waiting.extend(self._source.next_packs())
        pack = () if self._stop.is_set() or not self._waiting else self._waiting[0]
        started = list(takewhile(lambda cell: self._source.try_start(cell, pack_size=len(pack)), pack))
        if not started:
            return Searcher.FINISHED
        rest = self._waiting.popleft()[len(started) :]
        if rest:
            self._waiting.appendleft(rest)
        self._running += 1
        return {"cells": [cell.to_json() for cell in started]}

    def on_pack_over(self) -> None:
        """Make room for another pack: one is over and its outcomes are recorded, on which the next choice may depend."""
        self._running -= 1

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: `_OutcomeCallback` takes the outcomes."""

    def set_search_properties(self, *arguments: Any, **named: Any) -> bool:
        """Accept whatever Tune sets; the signature is Tune's."""
        return True

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the records decide what is done."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: a sweep starts Tune anew each time."""


class _OutcomeCallback(_NotPickled, tune.Callback):
    """Translates Tune's events to outcomes of cells."""

    def __init__(self, source: TrialSource, searcher: PackSearcher) -> None:
        self._source = source
        self._searcher = searcher
        self._reported: set[str] = set()

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any) -> None:
        self._report(Outcome(**result["outcome"]))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._searcher.on_pack_over()

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        for cell in _cells(trial.config):
            self._report(Outcome(cell.cell_id, "failed", kind="infrastructure", message="the Tune trial of this cell could not be kept alive"))
        self._searcher.on_pack_over()

    def _report(self, outcome: Outcome) -> None:
        """Report an outcome once: a trial whose process died waits for the same cells again."""
        if outcome.cell_id not in self._reported:
            self._reported.add(outcome.cell_id)
            self._source.on_outcome(outcome)


class _RetryCallback(_NotPickled, tune.Callback):
    """Sets what a trial whose process died starts again with: its cells, changed cells, or the outcomes that they failed for good."""

    def __init__(self) -> None:
        self._kinds: dict[str, list[str]] = {}

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        reason, kind = retry.classify_process_loss(RuntimeError(_last_error(trial)))
        kinds = self._kinds.setdefault(trial.trial_id, [])
        kinds.append(kind)
        changed = [retry.next_attempt(cell_json, kind=kind, failures=kinds.count(kind)) for cell_json in trial.config["cells"]]
        if None in changed:
            over = [Outcome.process_lost(cell.cell_id, reason=reason, kind=kind, times=len(kinds)).to_dict() for cell in _cells(trial.config)]
            trial.set_config({**trial.config, "over": over})
        else:
            trial.set_config({**trial.config, "cells": changed})


def _last_error(trial: Trial) -> str:
    """Return the last part of the file in which Tune keeps all errors of a trial."""
    path = trial.error_file
    return Path(path).read_text(encoding="utf-8").rpartition("Failure #")[2] if path else ""


class _StopDeadline(_NotPickled, tune.Stopper):
    """Ends the trials that still run `PARTING_S` after an event was set."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event
        self._ends = math.inf

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self._event.is_set():
            self._ends = min(self._ends, time.monotonic() + PARTING_S)
        return time.monotonic() > self._ends
