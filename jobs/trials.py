"""Ray Tune in front of an executor: one trial = one cell.

A trial computes nothing. It hands its cell to the executor's client, waits, and reports the outcome; its process is reused for the next trial. A failed cell
is a trial that ended well with the outcome "failed": Tune must not retry what it does not understand.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from jobs.client import CellRunner
from jobs.outcome import Outcome
from jobs.resources import TRIAL_CPUS
from loretta_core.config import CellConfig


def run_trials(
    cells: Sequence[CellConfig],
    *,
    client: CellRunner,
    at_once: int,
    directory: Path,
    done: Callable[[Outcome], None],
    stop: threading.Event,
) -> None:
    """Run every cell as a trial, `at_once` at the same time; `done` is called here, in the driver, as each one is over.

    Args:
        directory: for Tune's bookkeeping; emptied first, since the records decide what is done and Tune's state does not.
        stop: set to end early.
    """
    shutil.rmtree(directory, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(_trainable(client), {"CPU": TRIAL_CPUS}),
        param_space={"cell": tune.grid_search([cell.to_json() for cell in cells])},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=at_once,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=directory.name,
            storage_path=str(directory.parent.resolve()),
            callbacks=[_Reporter(done)],
            stop=_StopWhen(stop),
            failure_config=tune.FailureConfig(max_failures=1),
            verbose=0,
        ),
    )
    tuner.fit()


def _trainable(client: CellRunner) -> Callable[[dict[str, Any]], None]:
    def cell(config: dict[str, Any]) -> None:
        tune.report({"outcome": client.run(CellConfig.from_json(config["cell"])).to_dict()})

    return cell


def _name(trial: Trial) -> str:
    return CellConfig.from_json(trial.config["cell"]).cell_id


class _StaysHere:
    """Tune pickles its configuration for a restore that we never use; what belongs to this process is left out."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Reporter(_StaysHere, tune.Callback):
    """Tune's events → outcomes."""

    def __init__(self, done: Callable[[Outcome], None]) -> None:
        self._done = done

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        outcome = (trial.last_result or {}).get("outcome")
        if outcome:
            self._done(Outcome(**outcome))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._done(Outcome(_name(trial), "failed", kind="infrastructure", message="the Tune trial that waited for this cell died"))


class _StopWhen(_StaysHere, tune.Stopper):
    """Ends all trials when an event is set."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._event.is_set()
