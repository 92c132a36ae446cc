"""Simulate a sweep of 10,000 cells on 256 GPUs that fail, on a fake clock: `python cluster/simulate.py`.

    real     cells and their ids, the planner's seconds for each, admission, the number of worker groups, the queue between driver and groups with its retries
             (`jobs.execution.cell_queue`, `jobs.failures.retry`), records on disk and the ledger that reads them after the driver died
    made up  the clock; how long a cell takes (the planner's seconds times a factor); what a group does between pull and finish; failures, from a seed

Three ways to compute the same cells under the same failures:

    warm     a group's process stays and pulls cells; interrupted cells resume from their last checkpoint: what `jobs` does
    cold     a process per cell, which starts, imports and forms its group anew; interrupted cells resume from their checkpoint
    naive    a process per cell, and interrupted cells begin again

Paid GPU-hours are all GPUs for the whole time. Useful ones end up in a finished cell. The rest is starting, work that is lost and done again, and GPUs that are
down or have nothing to do (the end of the sweep, the time without a driver).
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import selectors
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jobs.execution.cell_queue import PULL_TIMEOUT_S, CellQueue, Order
from jobs.failures.outcome import Outcome
from jobs.scheduling.admission import admit
from jobs.scheduling.estimate import predict_durations
from jobs.scheduling.resources import Node, by_group_spec, groups_that_fit
from jobs.storage.failure_record import write_failure
from jobs.storage.ledger import read_status, unfinished
from loretta_core.config import CellConfig
from loretta_core.config.sweep.load import resolve_sweep
from loretta_core.config.toml import parse_toml
from loretta_core.store.layout import cell_directory
from loretta_core.store.record_files import write_record
from loretta_core.store.records import Record, RunCost, Score

Way = Literal["warm", "cold", "naive"]
WAYS: tuple[Way, ...] = ("warm", "cold", "naive")

HOUR_S = 3600.0
NODE = Node(cpus=192, gpus=8, memory_bytes=1_000_000_000_000, accelerator="H100")

SWEEP = """
name = "ten-thousand"
[defaults]
engine = { type = "auto", gpus = 1, cpus = 8 }
precision = "bf16"
batch_size = 16
[axes]
model = ["FacebookAI/roberta-large", "meta-llama/Llama-2-7b-hf"]
task = [{ type = "sst2", objective = "prompt" }]
method = ["loretta_adp", "lora"]
trainer = [{ type = "adam", lr = 1e-4, epochs = 10 }, { type = "zo_sgd", lr = 1e-4, steps = 5000 }]
"""
"""A sweep with eight kinds of cells, which take from seconds to minutes each on an H100, and with as many seeds as are needed."""


@dataclass(frozen=True)
class World:
    """Assumptions of the simulation. Rates are per hour of one node of eight GPUs."""

    nodes: int = 32
    seed: int = 0
    node_failures: float = 1.6e-4
    """Llama 3's 16,384 H100s: 419 unexpected interruptions in 54 days (arXiv 2407.21783, table 5), times eight."""
    replace_s: float = 600.0
    """Time until a failed node is replaced."""
    start_s: float = 19.0
    """Time in which a process starts, imports and forms its group (measured: jobs/README.md gives 27.6 s for the nested way, start included)."""
    overhead_s: float = 0.43
    """Overhead of a cell in a warm process (measured, jobs/README.md)."""
    checkpoint_s: float = 60.0
    """Time between two checkpoints of a cell."""
    spread: float = 0.2
    """Standard deviation of the logarithm of measured over predicted time."""
    out_of_memory: float = 0.02
    """Share of cells that run out of memory once and then accumulate gradients."""
    poison: float = 0.001
    """Share of cells that kill their process at every attempt."""


class FakeClock(asyncio.SelectorEventLoop):
    """An event loop that never sleeps: when all tasks wait, the clock jumps to the first that wakes."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        return self.now


class _Jump(selectors.SelectSelector):
    def __init__(self, loop: FakeClock) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list:
        assert timeout is not None, "every task waits for another one"
        self._loop.now += max(0.0, timeout)
        return []


@dataclass
class Simulation:
    """A run of one sweep in one of the three ways.

    Args:
        durations_s: time of each cell without interruption, by cell id.
        out: output directory; its records decide what is finished.
    """

    way: Way
    world: World
    cells: Sequence[CellConfig]
    durations_s: dict[str, float]
    out: Path
    spent_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """GPU seconds by use: starting, useful, repeated."""
    events: Counter[str] = field(default_factory=Counter)
    _saved_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds of work that are in a checkpoint, by cell id."""
    _started: dict[str, str] = field(default_factory=dict)
    """Name of the worker group that was started last, by place."""
    _generators: dict[str, random.Random] = field(default_factory=dict)
    """A generator per machine, so that all ways see the same failures."""

    def run(self) -> float:
        """Run the sweep and return the seconds until its last cell is over."""
        with asyncio.Runner(loop_factory=FakeClock) as runner:
            return runner.run(self._sweep())

    async def _sweep(self) -> float:
        """Run one driver after another with the cells that the ledger calls unfinished; the next one starts when a failed head has been replaced."""
        while cells := [cell for cell in unfinished(self.out, self.cells) if cell.cell_id not in read_status(self.out, [cell]).failed]:
            self.events["drivers"] += 1
            driver = asyncio.create_task(self._driver(cells))
            _, pending = await asyncio.wait([driver], timeout=self._until_failure("head"))
            if pending:
                driver.cancel()
                await asyncio.wait([driver])
                await asyncio.sleep(self.world.replace_s)
            else:
                driver.result()
        return asyncio.get_running_loop().time()

    async def _driver(self, cells: Sequence[CellConfig]) -> None:
        queue = CellQueue()
        async with asyncio.TaskGroup() as tasks:
            nodes = [tasks.create_task(self._node(queue, index)) for index in range(self.world.nodes)]
            async with asyncio.TaskGroup() as trials:
                for cell in cells:
                    trials.create_task(self._trial(queue, cell))
            for node in nodes:
                node.cancel()

    async def _trial(self, queue: CellQueue, cell: CellConfig) -> None:
        """Pass a cell through the queue and record a failure, as a Tune trial and the sweep's driver do."""
        (outcome,) = [outcome async for outcome in queue.run([(cell.cell_id, cell.to_json())])]
        self.events[outcome.status] += 1
        if outcome.status == "failed":
            write_failure(self.out, cell, outcome)

    async def _node(self, queue: CellQueue, index: int) -> None:
        """Run a node with eight worker groups until it fails, then its replacement, and so on."""
        generation = 0
        while True:
            generation += 1
            names = [f"{index}-{gpu}-{generation}" for gpu in range(int(NODE.gpus))]
            self._started.update(zip(names, names, strict=True))
            groups = [asyncio.create_task(self._group(queue, name)) for name in names]
            try:
                await asyncio.sleep(self._until_failure(f"node {index}"))
            finally:
                for group in groups:
                    group.cancel()
                await asyncio.wait(groups)
            self.events["nodes lost"] += 1
            for name in names:
                await queue.on_group_lost(self._started[name], "the node is gone")
            await asyncio.sleep(self.world.replace_s)

    async def _group(self, queue: CellQueue, name: str) -> None:
        """Run a worker group: start, pull, compute. Without warm processes it ends after each cell and starts anew for the next."""
        start = 0
        while True:
            start += 1
            group = self._started[name] = f"{name}.{start}"
            await self._spend("starting", self.world.start_s)
            if await self._serve(queue, group):
                return

    async def _serve(self, queue: CellQueue, group: str) -> bool:
        """Pull and compute cells in one process, as `jobs.execution.worker.work` does. Return True when the queue said stop."""
        while True:
            order = await queue.pull(group, PULL_TIMEOUT_S)
            if order.action != "work":
                if order.action == "stop":
                    return True
                continue
            outcome = await self._compute(order)
            if outcome is None:
                await queue.on_group_lost(group, "the process was killed")
                return False
            await queue.finish(group, outcome)
            if self.way != "warm":
                return False

    async def _compute(self, order: Order) -> Outcome | None:
        """Return the outcome of one attempt, None when it kills the process."""
        ((cell_id, cell_json),) = order.cells
        cell = CellConfig.from_json(cell_json)
        chance = random.Random(f"{self.world.seed} {cell_id}").random()
        needed = self.durations_s[cell_id] - self._saved_s[cell_id]
        await self._spend("starting", self.world.overhead_s)
        if chance < self.world.poison:
            self.events["processes killed"] += 1
            await self._spend("repeated", needed / 2)
            return None
        if chance < self.world.poison + self.world.out_of_memory and cell.engine.gradient_accumulation == 1:
            self.events["out of memory"] += 1
            await self._spend("repeated", min(10.0, needed))
            return Outcome(cell_id, "failed", kind="memory", message="out of memory")
        await self._train(cell_id, needed)
        record = Record(cell_id=cell.cell_id, cell=cell.to_dict(), status="finished", score=Score(value=0.0), cost=RunCost(wall_s=needed))
        write_record(record, cell_directory(self.out, cell.cell_id))
        return Outcome(cell_id, "finished", seconds=needed)

    async def _train(self, cell_id: str, needed_s: float) -> None:
        """Compute for a time; when interrupted, the time since the last checkpoint counts as repeated."""
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.sleep(needed_s)
        except asyncio.CancelledError:
            worked = asyncio.get_running_loop().time() - began
            saved = 0.0 if self.way == "naive" else math.floor(worked / self.world.checkpoint_s) * self.world.checkpoint_s
            self._saved_s[cell_id] += saved
            self.spent_s["useful"] += saved
            self.spent_s["repeated"] += worked - saved
            self.events["cells interrupted"] += 1
            raise
        self.spent_s["useful"] += needed_s

    async def _spend(self, what: str, time_s: float) -> None:
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.sleep(time_s)
        finally:
            self.spent_s[what] += asyncio.get_running_loop().time() - began

    def _until_failure(self, machine: str) -> float:
        """Return the seconds until a machine fails."""
        generator = self._generators.setdefault(machine, random.Random(f"{self.world.seed} {machine}"))
        return generator.expovariate(self.world.node_failures / HOUR_S) if self.world.node_failures else 1e9


def sweep_cells(count: int) -> list[CellConfig]:
    """Return the first `count` cells of the sweep, with as many seeds as that needs."""
    kinds = len(resolve_sweep(parse_toml(SWEEP), overrides=()).cells)
    seeds = list(range(math.ceil(count / kinds)))
    return list(resolve_sweep(parse_toml(f"{SWEEP}seed = {seeds}\n"), overrides=()).cells)[:count]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: print one line per way."""
    options = argument_parser().parse_args(arguments)
    world = World(nodes=options.nodes, seed=options.seed, node_failures=options.node_failures, start_s=options.start_s)
    machines = [NODE] * world.nodes
    admission = admit(sweep_cells(options.cells), machines)
    expected = predict_durations(admission.placed, machines)
    groups = {spec: groups_that_fit(spec, machines) for spec in by_group_spec(admission.placed)}
    gpus = sum(groups.values())
    assert len(groups) == 1, "all cells need one GPU"
    noise = random.Random(f"{world.seed} noise")
    durations_s = {cell.cell_id: expected[cell.cell_id] * noise.lognormvariate(0.0, world.spread) for cell in admission.placed}
    hours = sum(durations_s.values()) / HOUR_S
    print(f"{len(durations_s)} cells, {hours:.1f} GPU-hours of work, {gpus} GPUs, a node fails every {_time_between_failures(world)}", flush=True)
    print(f"{'':6} {'makespan':>9} {'paid':>8} {'useful':>8} {'starting':>9} {'repeated':>9} {'idle':>8} {'wasted':>8}   events", flush=True)
    for way in WAYS:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
            simulation = Simulation(way, world, admission.placed, durations_s, Path(scratch))
            print(_line(simulation, simulation.run(), gpus=gpus), flush=True)
    return 0


def _line(simulation: Simulation, makespan_s: float, *, gpus: int) -> str:
    paid, spent = gpus * makespan_s / HOUR_S, {what: value / HOUR_S for what, value in simulation.spent_s.items()}
    idle, useful = paid - sum(spent.values()), spent["useful"]
    parts = f"{spent.get('starting', 0):9.1f} {spent.get('repeated', 0):9.2f} {idle:8.1f}"
    hours = f"{makespan_s / HOUR_S:7.3f} h {paid:8.1f} {useful:8.1f} {parts} {1 - useful / paid:8.1%}"
    events = ", ".join(f"{count} {name}" for name, count in sorted(simulation.events.items()))
    return f"{simulation.way:6} {hours}   {events}"


def _time_between_failures(world: World) -> str:
    rate = world.node_failures * world.nodes
    return f"{1 / rate:.3g} h somewhere" if rate else "never"


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="python cluster/simulate.py", description="Simulate a large sweep on GPUs that fail.")
    made.add_argument("--cells", type=int, default=10_000, metavar="N", help="cells of the sweep (default: 10000)")
    made.add_argument("--nodes", type=int, default=32, metavar="N", help="nodes with eight H100 each (default: 32)")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of failures and durations (default: 0)")
    made.add_argument("--node-failures", type=float, default=World.node_failures, metavar="RATE", help="per node and hour (default: %(default)s)")
    made.add_argument("--start-s", type=float, default=World.start_s, metavar="S", help="seconds that a process takes to start (default: %(default)s)")
    return made


if __name__ == "__main__":
    sys.exit(main())
