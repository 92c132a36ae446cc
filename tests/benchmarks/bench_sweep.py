"""Overhead of the scheduler per cell: wall time per cell, after the first on a worker, minus the time inside `fit` and evaluation.

    python tests/benchmarks/bench_sweep.py [--quick] [--json [FILE]] [--cells N]

    overhead_per_cell_s          a sweep with MLflow, records and checkpoints on one warm Ray Train worker (executor "train", the default)
    overhead_per_cell_inline_s   the same in the process of a Tune trial (executor "inline")
    bare_loop_s                  whole seconds per cell of a Python loop over the same cells, no Ray, no MLflow; bare_overhead_s is its part outside
                                 fit and evaluation: building the model, saving the adapter, writing the record
    naive_s                      whole seconds per cell of a Ray Train run nested in each Tune trial, the pattern of Ray's user guide
    noop_s, tune_noop_s          whole seconds per cell of cells that do nothing, through the inline executor and with Tune alone; no MLflow on either side;
                                 the median of three rounds

Cells are LoRA on toy-bert, 5 steps, with different seeds. The first cell of a process loads and compiles and is not counted. A cell's overhead is the time
from the end of the cell before it to its own end, less what it spent inside; the median over the cells. `--quick` leaves out inline, naive and no-op cells.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from loretta_core.config import CellConfig, SweepConfig, load_sweep
from loretta_core.store.records import Record

TARGET_S = 0.5
NAIVE_CELLS, NOOP_ROUNDS = 3, 3
TIMES_NAME = "times.json"
SWEEP = """
name = "bench"
[defaults]
model = "toy-bert"
method = "lora"
task = {{ type = "toy_sentiment", train_rows = 64, validation_rows = 32, test_rows = 64 }}
trainer = {{ type = "adam", steps = 5, eval_every = 5 }}
[axes]
seed = {seeds}
"""


@dataclass(frozen=True)
class Times:
    """Times of one cell: its process, when it ended, and how long it was inside `fit` and evaluation."""

    pid: int
    ended: float
    inside_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the default executor and the bare loop only")
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="write the report as JSON; without FILE it is what is printed")
    parser.add_argument("--cells", type=int, help="cells of each sweep (default: 20; 8 with --quick)")
    parser.add_argument("--noops", type=int, default=1000, help="cells that do nothing (default: 1000)")
    options = parser.parse_args()
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray runs its workers at 15: everything else on the machine would be measured too
    found = measure(cells=options.cells or (8 if options.quick else 20), noops=options.noops, quick=options.quick)
    if options.json != "-":
        print("\n".join(lines(found)), flush=True)
    if options.json:
        machine = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        report = json.dumps({"quick": options.quick, "machine": machine, **found, "met": met(found)}, indent=2)
        _write(report, options.json)


def measure(*, cells: int, noops: int, quick: bool) -> dict[str, float]:
    """Return the measured seconds by name."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="lor-b-") as directory:
        config = _config(Path(directory), cells)
        found["overhead_per_cell_s"] = swept(config, out=Path(directory) / "train")
        if not quick:
            found["overhead_per_cell_inline_s"] = swept(config.model_copy(update={"executor": "inline"}), out=Path(directory) / "inline")
        found |= bare_loop(config.cells, out=Path(directory) / "bare")
        if not quick:
            found["naive_s"] = naive(config.cells[:NAIVE_CELLS], out=Path(directory) / "naive")
            found |= noop_cells(_config(Path(directory), noops).cells, out=Path(directory) / "noop")
    return found


def swept(config: SweepConfig, *, out: Path) -> float:
    """Median overhead of a cell in a sweep on one worker."""
    from jobs.sweep import sweep

    with contextlib.redirect_stdout(sys.stderr):
        code = sweep(config, out=out, max_concurrent=1, run_cell="tests.benchmarks.bench_sweep:run_cell")
    assert code == 0, f"the sweep ended with {code}"
    return statistics.median(overheads(out))


def bare_loop(cells: Sequence[CellConfig], *, out: Path) -> dict[str, float]:
    """Nothing but `run_cell`, cell after cell."""
    started = time.time()
    for cell in cells:
        run_cell(cell, directory=out / "cells" / cell.cell_id)
        started = time.time() if cell is cells[0] else started
    return {"bare_loop_s": (time.time() - started) / (len(cells) - 1), "bare_overhead_s": statistics.median(overheads(out))}


def naive(cells: Sequence[CellConfig], *, out: Path) -> float:
    """Seconds per cell when every Tune trial forms a Ray Train group of its own, one after the other, on a Ray that runs already."""
    from jobs.execution.connection.ray_session import ray_session

    with ray_session(), contextlib.redirect_stdout(sys.stderr):
        from ray import tune

        started = time.time()
        tuner = tune.Tuner(
            tune.with_resources(_naive_trial, {"CPU": 0.01}),
            param_space={"cell": tune.grid_search([cell.to_json() for cell in cells]), "out": str(out)},
            tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=True),
            run_config=tune.RunConfig(name="naive", storage_path=str(out / "tune"), verbose=0),
        )
        results = tuner.fit()
    assert not results.errors, results.errors[0]
    return (time.time() - started) / len(cells)


def _naive_trial(config: dict[str, Any]) -> None:
    import ray.train
    from ray import tune
    from ray.train.torch import TorchTrainer

    trial = tune.get_context().get_trial_id()
    TorchTrainer(
        _naive_worker,
        train_loop_config=config,
        scaling_config=ray.train.ScalingConfig(num_workers=1),
        run_config=ray.train.RunConfig(name=f"train-{trial}", storage_path=f"{config['out']}/train"),
    ).fit()
    tune.report({"done": 1})


def _naive_worker(config: dict[str, Any]) -> None:
    cell = CellConfig.from_json(config["cell"])
    run_cell(cell, directory=Path(config["out"]) / "cells" / cell.cell_id)


def noop_cells(cells: Sequence[CellConfig], *, out: Path) -> dict[str, float]:
    """Seconds per cell that does nothing, one process each: ours, and Tune with the function alone, in turns. Imports of the driver are not counted."""
    from jobs.execution.connection.ray_session import ray_session

    sides = {"noop_s": _our_noops, "tune_noop_s": _tune_noops}
    times: dict[str, list[float]] = {name: [] for name in sides}
    with ray_session(), contextlib.redirect_stdout(sys.stderr):
        for side in sides.values():
            side(cells[:1], out=out)
        for _ in range(NOOP_ROUNDS):
            for name, side in sides.items():
                times[name].append(side(cells, out=out) / len(cells))
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def _our_noops(cells: Sequence[CellConfig], *, out: Path) -> float:
    from jobs.execution.inline_executor import InlineExecutor  # Ray must not be imported before the session has set its environment
    from jobs.execution.worker_config import WorkerConfig
    from jobs.orchestration.tune_trials import run_trials
    from jobs.scheduling.resources import WorkerGroupSpec

    worker = WorkerConfig(out=out, home=Path.cwd(), run_cell="tests.benchmarks.bench_sweep:do_nothing")
    source = _NoopSource()
    started = time.time()
    with InlineExecutor(shape=WorkerGroupSpec(1, 1, 0), processes=1, worker=worker) as executor:
        run_trials([(cell,) for cell in cells], source=source, executor=executor, directory=out / "ours", stop=threading.Event())
    assert source.seen == ["finished"] * len(cells)
    return time.time() - started


class _NoopSource:
    """Lets every cell start and notes how it ends."""

    has_rounds = False

    def __init__(self) -> None:
        self.seen: list[str] = []

    def next_packs(self) -> list[Any]:
        return []

    def try_start(self, cell: CellConfig, *, pack_size: int) -> bool:
        return True

    def on_outcome(self, outcome: Any) -> None:
        self.seen.append(outcome.status)


def _tune_noops(cells: Sequence[CellConfig], *, out: Path) -> float:
    from ray import tune

    started = time.time()
    tune.Tuner(
        tune.with_resources(_noop_trial, {"CPU": 1}),
        param_space={"cell": tune.grid_search([cell.to_json() for cell in cells])},
        tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=True),
        run_config=tune.RunConfig(name="noop", storage_path=str(out), verbose=0),
    ).fit()
    return time.time() - started


def do_nothing(cell: CellConfig, *, directory: Path, sinks: object, pack_context: object, stop: object) -> None:
    """A cell that trains nothing."""


def _noop_trial(config: dict[str, Any]) -> None:
    from ray import tune

    tune.report({"done": 1})


def run_cell(cell: CellConfig, **where: Any) -> Record:
    """The real one, with the time inside `fit` and evaluation noted beside its record. Validation happens inside `fit`."""
    from loretta_core.train import build, run

    inside = _Stopwatch()
    with mock.patch.object(run, "fit", inside.timed(run.fit)), mock.patch.object(build.Run, "evaluate", inside.timed(build.Run.evaluate)):
        record = run.run_cell(cell, **where)
    (where["directory"] / TIMES_NAME).write_text(json.dumps({"pid": os.getpid(), "ended": time.time(), "inside_s": inside.total_s}))
    return record


class _Stopwatch:
    """Adds up the time in some functions; a call within a call counts once."""

    def __init__(self) -> None:
        self.total_s = 0.0
        self._depth = 0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            started, self._depth = time.perf_counter(), self._depth + 1
            try:
                return function(*arguments, **named)
            finally:
                self._depth -= 1
                self.total_s += 0.0 if self._depth else time.perf_counter() - started

        return wrapper


def overheads(out: Path) -> list[float]:
    """Return the overhead of every cell but the first of its process."""
    by_process: dict[int, list[Times]] = defaultdict(list)
    for path in out.glob(f"cells/*/{TIMES_NAME}"):
        times = Times(**json.loads(path.read_text()))
        by_process[times.pid].append(times)
    ordered = [sorted(times, key=lambda one: one.ended) for times in by_process.values()]
    return [later.ended - earlier.ended - later.inside_s for times in ordered for earlier, later in itertools.pairwise(times)]


def met(found: dict[str, float]) -> dict[str, bool]:
    """Targets: the two executors, and at least 0.8 times the throughput of Tune alone."""
    targets = {name: found[name] <= TARGET_S for name in ("overhead_per_cell_s", "overhead_per_cell_inline_s") if name in found}
    return targets | ({"noop_s": found["noop_s"] <= found["tune_noop_s"] / 0.8} if "noop_s" in found else {})


def lines(found: dict[str, float]) -> list[str]:
    """Return the report as lines of text."""
    targets = {"noop_s": "<= tune_noop_s / 0.8"}
    verdicts = {name: f"  (target {targets.get(name, f'<= {TARGET_S:g}')}: {'met' if good else 'NOT MET'})" for name, good in met(found).items()}
    return [f"{value:8.3f} s  {name}{verdicts.get(name, '')}" for name, value in found.items()]


def _write(report: str, where: str) -> None:
    if where == "-":
        print(report)
    else:
        Path(where).write_text(report + "\n")


def _config(directory: Path, cells: int) -> SweepConfig:
    file = directory / "bench.toml"
    file.write_text(SWEEP.format(seeds=list(range(cells))))
    return load_sweep(file)


if __name__ == "__main__":
    # Workers import its functions by the module's name, from the root of the repository.
    os.chdir(Path(__file__).parents[2])
    sys.path[0] = str(Path.cwd())
    from tests.benchmarks import bench_sweep

    bench_sweep.main()
