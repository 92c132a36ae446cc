"""Gain of keeping freed memory (`loretta_core/train/memory/allocator.py`): time and page faults of a step on a CPU.

    python tests/benchmarks/bench_heap.py [--quick] [--json FILE]

Two processes with the same cell, LoRA on a BERT of RoBERTa-base's width (4 layers, random weights, fp32), of which one keeps what is freed and the other leaves
that to glibc. They take turns, a step each, and the medians are divided: CPU time of the process on one thread, user and system.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from random_cells import cells_of, encoder, random_work
from results import Result, ratio, write

from loretta_core.config import CellConfig
from loretta_core.train.build import build_run
from loretta_core.train.memory import allocator

SHAPES, ROUNDS = ((8, 24), (16, 64), (64, 64)), 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small batch, few steps")
    parser.add_argument("--json", type=Path, help="write the report as JSON")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(CellConfig.from_json(options.child), keep=options.keep)
        return
    results = []
    with TemporaryDirectory() as directory:
        for rows, tokens in SHAPES[:1] if options.quick else SHAPES:
            work = random_work(Path(directory), encoder(width=768, layers=4), rows=rows, tokens=tokens)
            for trainer in ("zo_sgd", "adam"):
                (cell,) = cells_of(work, method="lora", trainer=trainer, own=False, count=1)
                one = raced(cell, name=f"a step, lora {trainer}, {rows} x {tokens} tokens", rounds=2 if options.quick else ROUNDS)
                print(f"{one.value:6.3f} times  {one.name}  [{1e3 * (one.ours or 0):,.0f} / {1e3 * (one.other or 0):,.0f} ms; {one.note}]", flush=True)
                results.append(one)
    if options.json:
        write(options.json, results, quick=options.quick, machine=platform.machine())


def raced(cell: CellConfig, *, name: str, rounds: int) -> Result:
    """Median time of a step that keeps what is freed, and of one that does not."""
    command = [sys.executable, __file__, "--child", cell.to_json()]
    pipe = subprocess.PIPE
    with ExitStack() as stack:  # on the way out it closes their stdin, which ends them
        sides: list[Any] = [stack.enter_context(subprocess.Popen([*command, *more], stdin=pipe, stdout=pipe, text=True)) for more in (["--keep"], [])]
        steps = [[_step(side) for side in sides] for _ in range(rounds + 1)][1:]  # the first warms up
    (ours, kept), (other, given_back) = ((statistics.median(values) for values in zip(*one, strict=True)) for one in zip(*steps, strict=True))
    return ratio(name, ours, other, note=f"{kept:,.0f} / {given_back:,.0f} page faults")


def _step(side: Any) -> tuple[float, float]:
    print("step", file=side.stdin, flush=True)
    seconds, faults = json.loads(side.stdout.readline())
    return seconds, faults


def child(cell: CellConfig, *, keep: bool) -> None:
    """A step, its CPU seconds and page faults, whenever asked for."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    if keep:
        allocator.configure_allocator()
    run = build_run(cell)
    batches = run.batches(0)
    for _ in sys.stdin:
        batch, before = next(batches), resource.getrusage(resource.RUSAGE_SELF)
        run.engine.step(batch)
        after = resource.getrusage(resource.RUSAGE_SELF)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(json.dumps([seconds, after.ru_minflt - before.ru_minflt]), flush=True)


if __name__ == "__main__":
    main()
