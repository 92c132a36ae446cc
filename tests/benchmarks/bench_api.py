"""How fast the API answers with 10,000 runs in the store: 50 clients at once, each asking again as soon as it was answered, or once a second.

    python tests/benchmarks/bench_api.py [--runs 10000] [--clients 50] [--seconds 15] [--out DIR]

Prints p50, p95 and the most of every read endpoint. Clients and server share this machine. The records are made up; making them is not timed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import aiohttp  # noqa: E402 - a dependency of ray

from loretta_core.config import CellConfig, SweepConfig, cell_from_overrides  # noqa: E402
from loretta_core.report.compare import compare  # noqa: E402
from loretta_core.store.manifest import write_manifest  # noqa: E402
from loretta_core.store.output_dir import check_output_dir  # noqa: E402
from loretta_core.store.record_files import write_record  # noqa: E402
from services.server.processes import run_server  # noqa: E402
from services.server.serve import api_server  # noqa: E402
from services.server.settings import api_settings  # noqa: E402
from tests.loretta_core.report.synthetic import plausible_record  # noqa: E402

SWEEP = "many"
METHODS, TRAINERS = ("loretta_adp", "loretta_rep", "lora", "adapters", "ft"), ("adam", "zo_sgd")


@dataclass
class Times:
    """Seconds by endpoint."""

    by_name: dict[str, list[float]] = field(default_factory=dict)
    errors: int = 0

    def add(self, name: str, seconds: float) -> None:
        self.by_name.setdefault(name, []).append(seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the records, time the comparison, serve, ask, print."""
    options = _parser().parse_args(arguments)
    with _directory(options.out) as out:
        cells = make_runs(out, runs=options.runs)
        started = time.perf_counter()
        compare(out, name=SWEEP)
        print(f"compare: {len(cells):,} records in {time.perf_counter() - started:.1f} s")
        settings = api_settings(host="127.0.0.1", port=0, out=out, environment={**os.environ, "LORETTA_RATE_LIMIT": "1000000"})
        with run_server(api_server(settings)):
            for pause_s, words in ((1.0, "once a second"), (0.0, "again at once")):
                times = asyncio.run(_ask(settings.url, cells, clients=options.clients, seconds=options.seconds, pause_s=pause_s))
                _print(times, title=f"{options.clients} clients, each {words}", seconds=options.seconds)


def make_runs(out: Path, *, runs: int) -> list[CellConfig]:
    """A sweep of so many finished cells."""
    check_output_dir(out)
    kinds = [(method, trainer, rate) for method in METHODS for trainer in TRAINERS for rate in (1e-4, 3e-4, 1e-3, 3e-3)]
    bases = [cell_from_overrides(["model=toy-bert", "task=toy_sentiment", f"method={m}", f"trainer={t}", f"trainer.lr={lr}"]) for m, t, lr in kinds]
    cells = [bases[index % len(bases)].model_copy(update={"seed": index // len(bases)}) for index in range(runs)]
    write_manifest(out, sweep=SweepConfig(name=SWEEP, cells=tuple(cells)))
    noise, sync = random.Random(0), os.fsync
    os.fsync = lambda descriptor: None  # ten thousand syncs are minutes, and nothing here has to survive
    try:
        for cell in cells:
            write_record(plausible_record(cell, noise=noise), out / "cells" / cell.cell_id)
    finally:
        os.fsync = sync
    return cells


def endpoints(cells: Sequence[CellConfig], chance: random.Random) -> dict[str, str]:
    """One address of each kind."""
    offset = chance.randrange(0, max(1, len(cells) - 50), 50)
    return {
        "health": "/api/v1/health",
        "sweeps": "/api/v1/sweeps",
        "sweep": f"/api/v1/sweeps/{SWEEP}",
        "cells": f"/api/v1/sweeps/{SWEEP}/cells?offset={offset}&limit=50",
        "cells, sorted": f"/api/v1/sweeps/{SWEEP}/cells?sort=trainable_params&method=lora&limit=50",
        "cell": f"/api/v1/cells/{chance.choice(cells).cell_id}",
        "jobs": "/api/v1/jobs",
    }


async def _ask(url: str, cells: Sequence[CellConfig], *, clients: int, seconds: float, pause_s: float) -> Times:
    times = Times()
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=clients)) as session:
        for name, path in endpoints(cells, random.Random(0)).items():  # the first answer reads the store
            async with session.get(path) as answer:
                assert answer.status == 200, f"{name}: {answer.status}"
        until = time.monotonic() + seconds
        await asyncio.gather(*(_client(session, cells, until=until, pause_s=pause_s, seed=seed, times=times) for seed in range(clients)))
    return times


async def _client(session: aiohttp.ClientSession, cells: Sequence[CellConfig], *, until: float, pause_s: float, seed: int, times: Times) -> None:
    chance = random.Random(seed)
    await asyncio.sleep(chance.random() * pause_s)
    while time.monotonic() < until:
        name, path = chance.choice(list(endpoints(cells, chance).items()))
        started = time.perf_counter()
        async with session.get(path) as answer:
            await answer.read()
        seconds = time.perf_counter() - started
        times.add(name, seconds)
        times.errors += answer.status != 200
        await asyncio.sleep(max(0.0, pause_s - seconds))


def _print(times: Times, *, title: str, seconds: float) -> None:
    total = sum(map(len, times.by_name.values()))
    print(f"\n{title}: {total / seconds:.0f} answers a second, {times.errors} errors")
    print(f"{'endpoint':<15}{'answers':>8}{'p50 ms':>9}{'p95 ms':>9}{'most ms':>9}")
    every = [value for values in times.by_name.values() for value in values]
    for name, values in [*sorted(times.by_name.items()), ("all", every)]:
        cuts = statistics.quantiles(values, n=20) if len(values) > 1 else values * 19
        print(f"{name:<15}{len(values):>8}{1e3 * statistics.median(values):>9.1f}{1e3 * cuts[18]:>9.1f}{1e3 * max(values):>9.1f}")


@contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="bench-api-") as name:
        yield Path(name) / "out"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Time the read endpoints of the API.")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--out", type=Path, help="where to make the records (default: a temporary directory)")
    return parser


if __name__ == "__main__":
    main()
