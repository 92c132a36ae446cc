"""Time in which `loretta doctor` verifies adapters (`jobs/diagnostics/damage.py`), against one adapter after the other and against SHA-256 alone.

    python tests/benchmarks/bench_doctor.py [--quick] [--json FILE]

Adapters of random weights, 1 GiB in all, are written and read once, so that the disk plays no part. The three take turns, and the medians are divided. `sha256`
hashes as many bytes that lie in the cache on one thread: no program that reads a file with this hash is faster on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from results import Result, ratio, write
from safetensors.torch import save_file

from jobs.diagnostics.damage import damaged_adapters
from loretta_core.store.adapter_files import ADAPTER_NAME, adapter_digest
from loretta_core.store.layout import cell_directory
from loretta_core.store.records import Digests, Record

GIB, BLOCK_BYTES, ADAPTERS = 2**30, 2**18, 8

Seconds = tuple[float, float]
"""Wall and CPU."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="16 MiB, two rounds")
    parser.add_argument("--json", type=Path, help="write the report as JSON")
    options = parser.parse_args()
    size, rounds = (GIB // 64, 2) if options.quick else (GIB, 5)
    with TemporaryDirectory() as directory:
        out = Path(directory)
        saved = write_adapters(out, size=size)
        ways: dict[str, Callable[[], object]] = {
            "sha256": lambda: hash_memory(size),
            "one after the other": lambda: damaged_adapters(out, saved, threads=1),
            "a thread a core": lambda: damaged_adapters(out, saved),
        }
        assert not damaged_adapters(out, saved)
        measured = race(ways, rounds=rounds)
    results = report(measured, gibs=size / GIB)
    for one in results:
        print(f"{one.value:6.2f} {one.unit:6}  {one.name}  {one.note}{one.verdict}", flush=True)
    if options.json:
        write(options.json, results, quick=options.quick, machine=platform.machine(), cores=os.cpu_count())


def write_adapters(out: Path, *, size: int) -> dict[str, Record]:
    """Cells with an adapter each; returns their records."""
    saved = {}
    for index in range(ADAPTERS):
        name = f"{index:016x}"
        directory = cell_directory(out, name) / ADAPTER_NAME
        directory.mkdir(parents=True)
        save_file({"weight": torch.randn(size // ADAPTERS // 4)}, directory / "adapter_model.safetensors")
        digests = Digests(adapter=adapter_digest(directory))
        saved[name] = Record(cell_id=name, cell={}, status="finished", adapter=ADAPTER_NAME, digests=digests)
    return saved


def hash_memory(size: int) -> None:
    block, digest = os.urandom(BLOCK_BYTES), hashlib.sha256()
    for _ in range(size // BLOCK_BYTES):
        digest.update(block)


def race(ways: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, Seconds]:
    """Median wall and CPU time of each way."""
    found: dict[str, list[Seconds]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            found[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: (statistics.median(wall for wall, _ in times), statistics.median(cpu for _, cpu in times)) for name, times in found.items()}


def report(measured: Mapping[str, Seconds], *, gibs: float) -> list[Result]:
    results = [Result(name, wall / gibs, "s/GiB", note=f"[{cpu / gibs:.2f} s of CPU]") for name, (wall, cpu) in measured.items()]
    (bound, bound_cpu), (serial, serial_cpu), (threaded, _) = (measured[name] for name in ("sha256", "one after the other", "a thread a core"))
    return [
        *results,
        ratio("threads over adapters", threaded, serial),
        ratio("threads against SHA-256 on one core", threaded, bound),
        ratio("share of CPU time that is SHA-256", serial_cpu, bound_cpu, at_least=0.6, note="(what better reading could still save is the rest)"),
    ]


if __name__ == "__main__":
    main()
