"""Gain of computing several cells in one process: time of a step of all of them, and memory.

    python tests/benchmarks/bench_packing.py [--quick] [--only TEXT] [--layers N] [--json FILE]

Speed. A step of all cells of a pack against a step of each of them, one after the other, on batches made before. The sides take turns, one such step each,
and their medians are divided. It is CPU time of the process on one thread (on a GPU wall time): other work on the machine takes turns with it and is not
counted, and how it crowds the caches hits both sides. With `same rows` cells differ in their learning rate only, with `own rows` in their seed too, and all are
padded to the longest. Models: toy-bert on toy_sentiment, and a BERT of RoBERTa-base's width, random weights, on rows that are equally long.

Memory. One process with 8 cells against 8 with one each that are alive at the same time, 3 steps, a base of 85 M parameters. Counted of each process: the most
that was resident while it took its steps (VmHWM of Linux, begun anew once its cells were built), less what it shares with others (Rss − Pss, read while all are
alive: libraries' code, and the pages of the checkpoint, which is mapped). Once with weights that are stored as they are computed with, in fp32, and once stored
in bf16, as language models come, where each process has a base of its own.

With a CUDA device also RoBERTa-large's and Llama-2-7B's shapes in bf16: against one of the cells, as often as there are cells, and against the frozen model's
own forward on as many rows, its logits not counted. `--quick` takes small models, 4 cells and few steps. `target` is what was aimed at; `met` is reported also
when it is false.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from random_cells import cells_of, encoder, llama_2_7b, random_work
from results import Result, ratio, write

from loretta_core.config import CellConfig
from loretta_core.pack.lockstep import run_in_lockstep
from loretta_core.train.build import Run, build_run
from loretta_core.train.memory import allocator
from loretta_core.train.pack_context import SOLO, PackContext, PackInfo
from loretta_core.train.reporting.peak_memory import PeakMemory

CELLS, MEMORY_STEPS = 8, 3
METHODS, TRAINERS = ("lora", "loretta_adp"), ("zo_sgd", "adam")
TOY = ("model=toy-bert", "task=toy_sentiment", "batch_size=8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small models and few steps: rough medians")
    parser.add_argument("--only", default="", help="only the results whose key has this text, e.g. memory")
    parser.add_argument("--layers", type=int, default=4, help="of the models of RoBERTa-base's width that are timed (default: 4)")
    parser.add_argument("--json", type=Path, help="write the report as JSON")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("loretta_core.pack.request_batcher").addFilter(refuse)
    torch.set_num_threads(1)
    allocator.configure_allocator()  # as every run does
    if options.child:
        child([CellConfig.from_json(text) for text in json.loads(options.child)])
        return
    results = []
    with TemporaryDirectory() as directory:
        for key, make in all_results(Path(directory), quick=options.quick, layers=options.layers):
            for one in make() if options.only in key else ():
                print(line(one), flush=True)
                results.append(one)
    if options.json:
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
        write(options.json, results, quick=options.quick, device=device)


def refuse(record: logging.LogRecord) -> bool:
    """A pack that goes on cell by cell must not be reported as one."""
    raise AssertionError(record.getMessage())


def all_results(directory: Path, *, quick: bool, layers: int) -> Iterator[tuple[str, Callable[[], Iterator[Result]]]]:
    """(key, how to get them), in order."""
    count, rounds = (4, 5) if quick else (CELLS, 31)
    models = {"toy-bert": partial(speed, lambda: TOY, name="toy-bert, 8 rows", rounds=rounds)}
    for rows, tokens, rounds in () if quick else ((8, 24, 9), (16, 64, 3)):
        work = partial(random_work, directory, encoder(width=768, layers=layers), rows=rows, tokens=tokens)
        models[f"{rows}x{tokens}"] = partial(speed, work, name=f"width 768, {layers} layers, {rows} x {tokens} tokens", rounds=rounds)
    for model, method, trainer, own in itertools.product(models, METHODS, TRAINERS, (False, True)):
        target = 1.1 if model == "8x24" and not own else None
        key = f"{model} {method} {trainer} {'own' if own else 'same'}"
        yield key, partial(models[model], method=method, trainer=trainer, own=own, count=count, target=target)
    for some in sorted({2, 4, 8} - {count}):
        yield f"{some} cells", partial(models["toy-bert" if quick else "8x24"], method="lora", trainer="zo_sgd", own=False, count=some)
    for own in () if quick else (False, True):
        work = partial(random_work, directory, encoder(width=768, layers=layers, dropout=0.1), rows=8, tokens=24)
        name = f"width 768, {layers} layers, 8 x 24 tokens, dropout 0.1"
        yield f"dropout {'own' if own else 'same'}", partial(speed, work, name=name, rounds=9, method="lora", trainer="adam", own=own, count=CELLS)
    for trainer, stored in itertools.product(TRAINERS, (torch.float32, torch.bfloat16)) if not quick else ((TRAINERS[0], torch.float32),):
        yield f"memory {trainer} {stored}", partial(memory, directory, trainer=trainer, stored=stored, quick=quick)
    for shape in ("roberta-large", "llama-2-7b") if torch.cuda.is_available() else ():
        yield f"cuda {shape}", partial(on_gpu, directory, shape=shape)


def speed(
    work: Callable[[], Sequence[str]], *, name: str, rounds: int, method: str, trainer: str, own: bool, count: int, target: float | None = None
) -> Iterator[Result]:
    """Cells per hour of a pack over those of the same cells one after the other."""
    cells = cells_of(work(), method=method, trainer=trainer, own=own, count=count)
    alone = [stepper(build_run(cell), steps=rounds + 1) for cell in cells]
    ours, theirs = raced(cells, others=[lambda: [step() for step in alone]], rounds=rounds, clock=time.process_time)
    yield ratio(f"cells per hour, {name}, {method} {trainer}, {count} cells, {'own' if own else 'same'} rows", ours, theirs, at_least=target)


def on_gpu(directory: Path, *, shape: str) -> Iterator[Result]:
    """A pack against one of its cells as often as it has cells, and against the frozen model on as many rows: a cell evaluates two sides of a direction."""
    config = llama_2_7b() if shape == "llama-2-7b" else encoder(width=1024, layers=24)
    cells = cells_of(random_work(directory, config, rows=8, tokens=24, gpu=True), method="lora", trainer="zo_sgd", own=False, count=CELLS)
    rounds, run = 11, build_run(cells[0])
    inputs = {name: values.repeat(2 * CELLS, 1) for name, values in next(run.batches(0))[0].inputs.items()}
    step, model = stepper(run, steps=CELLS * (rounds + 1)), run.model.get_base_model().base_model

    @torch.no_grad()
    def infer() -> None:
        with run.model.disable_adapter():
            model(**inputs)

    ours, alone, inference = raced(cells, others=[lambda: [step() for _ in cells], infer], rounds=rounds, clock=gpu_time)
    name = f"{shape} in bf16, 8 x 24 tokens, lora zo_sgd, {CELLS} cells, same rows, on {torch.cuda.get_device_name()}"
    yield ratio(f"cells per hour, {name}", ours, alone, at_least=4.0)
    yield ratio(f"tokens per second over plain inference, {name} ({inputs['input_ids'].numel() / ours:,.0f} tokens/s)", ours, inference, at_least=0.9)


def raced(cells: Sequence[CellConfig], *, others: Sequence[Callable[[], object]], rounds: int, clock: Callable[[], float]) -> list[float]:
    """Median seconds of a step of all cells in a pack, and of each of the others, in turns. Between two steps of one cell lies one of every other."""
    times: list[list[float]] = [[] for _ in range(1 + len(others))]
    since = 0.0

    def turn() -> None:
        nonlocal since
        times[0].append(clock() - since)
        for side, other in zip(times[1:], others, strict=True):
            started = clock()
            other()
            side.append(clock() - started)
        since = clock()

    def member(cell: CellConfig, pack_context: PackContext) -> None:
        step = stepper(build_run(cell, pack_context=pack_context), steps=rounds + 2)
        step()
        for _ in range(rounds + 1):
            if cell is cells[0]:
                turn()
            step()

    packed(cells, member)
    return [statistics.median(side[1:]) for side in times]  # the first of each warms up


def packed(cells: Sequence[CellConfig], function: Callable[[CellConfig, PackContext], Any]) -> list[Any]:
    """Run a function for each cell in lockstep, and return its results. Raises the exception that it raised for one of them."""
    found = run_in_lockstep([partial(function, cell) for cell in cells], pack_info=PackInfo(pack_id="bench", cells=len(cells)))
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


def stepper(run: Run, *, steps: int) -> Callable[[], float]:
    """One step after the other, on batches that are made here."""
    torch.set_num_threads(1)  # of this thread
    batches = iter(list(itertools.islice(run.batches(0), steps)))
    return lambda: run.engine.step(next(batches))


def gpu_time() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def memory(directory: Path, *, trainer: str, stored: torch.dtype, quick: bool) -> Iterator[Result]:
    """Peak of one process with all cells, and the sum of those of processes with one cell each."""
    width, layers, count = (256, 4, 4) if quick else (768, 12, CELLS)
    work = random_work(directory, encoder(width=width, layers=layers), rows=8, tokens=24, stored=stored)
    cells = cells_of(work, method="lora", trainer=trainer, own=False, count=count)
    (ours,), theirs = footprints([cells]), footprints([[cell] for cell in cells])
    name = f"memory, width {width}, {layers} layers, 8 x 24 tokens, lora {trainer}, {count} cells, stored in {'fp32' if stored == torch.float32 else 'bf16'}"
    yield ratio(name, float(ours), float(sum(theirs)), unit="times less", at_least=None if quick else 4)


def footprints(processes: Sequence[Sequence[CellConfig]]) -> list[int]:
    """Peak bytes of processes that are alive at the same time, each of which computes some cells."""
    commands = [[sys.executable, __file__, "--child", json.dumps([cell.to_json() for cell in cells])] for cells in processes]
    with ExitStack() as stack:  # on the way out it closes their stdin, which ends them
        pipe = subprocess.PIPE
        children: list[Any] = [stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)) for command in commands]
        for one in children:
            assert one.stdout.readline() == "ready\n", "a process failed; its error is above"
        for one in children:
            print("all are", file=one.stdin, flush=True)
        return [int(one.stdout.readline()) for one in children]


def child(cells: Sequence[CellConfig]) -> None:
    """Take steps, wait until all others have, tell the peak, and stay until the end of stdin."""

    def take_steps(cell: CellConfig, pack_context: PackContext) -> Run:
        run = build_run(cell, pack_context=pack_context)
        step = stepper(run, steps=MEMORY_STEPS)
        PeakMemory(run.collate.device)  # as in every run: VmHWM begins anew; in a pack no cell steps before all are built
        for _ in range(MEMORY_STEPS):
            step()
        return run

    held = packed(cells, take_steps) if len(cells) > 1 else [take_steps(cells[0], SOLO)]
    print("ready", flush=True)
    sys.stdin.readline()
    print((kib("status", "VmHWM") - kib("smaps_rollup", "Rss") + kib("smaps_rollup", "Pss")) * 1024, flush=True)
    sys.stdin.read()
    del held


def kib(file: str, name: str) -> int:
    return next(int(text.split()[1]) for text in Path("/proc/self", file).read_text().splitlines() if text.startswith(f"{name}:"))


def line(one: Result) -> str:
    scale, unit = (1e3, "ms") if one.unit == "times" else (2**-20, "MiB")
    ours, other = (scale * (side or 0.0) for side in (one.ours, one.other))
    return f"{one.value:7.3f} {one.unit:10s} {one.name}  [{ours:,.1f} / {other:,.1f} {unit}]{one.verdict}"


if __name__ == "__main__":
    main()
