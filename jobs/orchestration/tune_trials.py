"""Ray Tune in front of an executor: one trial = one pack of cells, most often one cell.

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
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.result import DONE
from ray.tune.search import Searcher

from jobs.execution.executor import CellRunner
from jobs.failures import retry
from jobs.failures.outcome import Outcome
from jobs.scheduling.packing import Pack
from loretta_core.config import CellConfig

MOST_DEATHS = 16
"""Process deaths that Tune lets a trial have; `failures/retry.py` gives up long before, except on a cell that is halved again and again."""

PARTING_S = 120.0
"""How long running cells may take to end after an interrupt."""


def run_trials(
    packs: Sequence[Pack],
    *,
    client: CellRunner,
    at_once: Callable[[], int],
    resources: dict[str, float],
    in_trials: bool,
    directory: Path,
    more: Callable[[], Sequence[Pack]] | None = None,
    begins: Callable[[CellConfig, int], bool],
    done: Callable[[Outcome], None],
    stop: threading.Event,
) -> None:
    """Run packs of cells as trials, in their order, while they may begin.

    Args:
        at_once: how many at the same time; asked again and again.
        resources: what a trial asks of Ray.
        in_trials: whether a trial's process computes its cell. One that only waits begins to wait again when it died, as often as Tune lets it.
        directory: for Tune's bookkeeping; emptied first, since the records decide what is done and Tune's state does not.
        more: called here, in the driver, when all cells are over; gives further ones, or none. None where there never are any.
        begins: called here, in the driver, with the next cell and how many are computed together with it, itself included; False leaves it and all after it.
        done: called here as each one is over.
        stop: set to end early: no further cell begins, and those that run have `PARTING_S` seconds to end.
    """
    shutil.rmtree(directory, ignore_errors=True)
    logging.getLogger("ray.tune.execution.experiment_state").setLevel(logging.CRITICAL)  # a full disk is said by `cell_lifecycle.py`, once
    source = _Source(packs, at_once, more, begins, stop)
    tuner = tune.Tuner(
        tune.with_resources(_trainable(client), resources),
        tune_config=tune.TuneConfig(
            search_alg=source,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=directory.name,
            storage_path=str(directory.parent.resolve()),
            callbacks=[_Reporter(done, source.settled), *([_Deaths()] if in_trials else [])],
            stop=_Deadline(stop),
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
    """The id of its first cell: no two packs begin with the same."""
    return _cells(trial.config)[0].cell_id


class _StaysHere:
    """Tune pickles its configuration for a restore that we never use; what belongs to this process is left out."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Source(_StaysHere, Searcher):
    """Hands out the packs one by one, when there is room for another: what begins next is decided as late as possible. None means ask again later."""

    def __init__(
        self,
        packs: Sequence[Pack],
        at_once: Callable[[], int],
        more: Callable[[], Sequence[Pack]] | None,
        begins: Callable[[CellConfig, int], bool],
        stop: threading.Event,
    ) -> None:
        super().__init__()
        self._waiting = deque(packs)
        self._at_once = at_once
        self._running = 0
        self._more = more
        self._begins = begins
        self._stop = stop

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._running >= self._at_once():
            return None
        if not self._waiting and self._more is not None and not self._stop.is_set():
            if self._running:
                return None
            self._waiting.extend(self._more())
        pack = () if self._stop.is_set() or not self._waiting else self._waiting[0]
        begun = list(takewhile(lambda cell: self._begins(cell, len(pack)), pack))
        if not begun:
            return Searcher.FINISHED
        rest = self._waiting.popleft()[len(begun) :]
        if rest:
            self._waiting.appendleft(rest)
        self._running += 1
        return {"cells": [cell.to_json() for cell in begun]}

    def settled(self) -> None:
        """A pack is over, and the records say how: what comes next may depend on that."""
        self._running -= 1

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Results are read from outcomes."""

    def set_search_properties(self, *arguments: Any, **named: Any) -> bool:
        return True

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the records decide what is done."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class _Reporter(_StaysHere, tune.Callback):
    """Tune's events → outcomes."""

    def __init__(self, done: Callable[[Outcome], None], settled: Callable[[], None]) -> None:
        self._done = done
        self._settled = settled
        self._told: set[str] = set()

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any) -> None:
        self._tell(Outcome(**result["outcome"]))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._settled()

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        for cell in _cells(trial.config):
            self._tell(Outcome(cell.cell_id, "failed", kind="infrastructure", message="the Tune trial of this cell could not be kept alive"))
        self._settled()

    def _tell(self, outcome: Outcome) -> None:
        """Once: a trial whose process died waits for the same cells again."""
        if outcome.cell_id not in self._told:
            self._told.add(outcome.cell_id)
            self._done(outcome)


class _Deaths(_StaysHere, tune.Callback):
    """What a trial whose process died starts again with: its cells, changed cells, or the outcomes that they failed for good."""

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
    """Tune keeps one file of all errors of a trial."""
    path = trial.error_file
    return Path(path).read_text(encoding="utf-8").rpartition("Failure #")[2] if path else ""


class _Deadline(_StaysHere, tune.Stopper):
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
