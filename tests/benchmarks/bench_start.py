"""What the start of a sweep costs: until the first step of its first cell, and until the command is over.

    python tests/benchmarks/bench_start.py [--tree DIR …] [--rounds N] [--executor train|inline] [--json [FILE]]

    first_step_s       seconds from the command to the first step
    first_step_cpu_s   CPU seconds of all its processes until then: the driver, Ray's own, workers, MLflow's migrations
    whole_s, whole_cpu_s   the same to the end of the command
    processes          processes that were seen

One cell: LoRA on toy-bert, a Ray and an MLflow of its own, in a fresh output directory. Each `--tree` is a working tree of the project (default: this one);
they are measured in turns, so that whatever else the machine does hits all alike. Processes are looked at twenty times a second; what one uses after the last
look at it is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_S = 0.05
LIMIT_S = 600.0
SWEEP = """
name = "start"
[defaults]
model = "toy-bert"
method = "lora"
task = { type = "toy_sentiment", train_rows = 64, validation_rows = 32, test_rows = 64 }
trainer = { type = "adam", steps = 5, eval_every = 5 }
"""


@dataclass(frozen=True)
class Start:
    """One measured start."""

    first_step_s: float
    first_step_cpu_s: float
    whole_s: float
    whole_cpu_s: float
    processes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", action="append", type=Path, help="a working tree of the project; may be repeated (default: this one)")
    parser.add_argument("--rounds", type=int, default=3, help="starts of each (default: 3)")
    parser.add_argument("--executor", choices=("train", "inline"), default="train")
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="write the report as JSON; without FILE it is what is printed")
    options = parser.parse_args()
    found = measure(options.tree or [Path(__file__).parents[2]], rounds=options.rounds, executor=options.executor)
    if options.json != "-":
        print("\n".join(lines(found)), flush=True)
    if options.json:
        machine = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        report = json.dumps(
            {"executor": options.executor, "machine": machine, "starts": {tree: [vars(one) for one in all_] for tree, all_ in found.items()}}, indent=2
        )
        if options.json == "-":
            print(report)
        else:
            Path(options.json).write_text(report + "\n")


def measure(trees: list[Path], *, rounds: int, executor: str) -> dict[str, list[Start]]:
    """Return the starts of every tree, measured in turns."""
    found: dict[str, list[Start]] = {str(tree): [] for tree in trees}
    for _ in range(rounds):
        for tree in trees:
            found[str(tree)].append(start(tree.resolve(), executor=executor))
    return found


def start(tree: Path, *, executor: str) -> Start:
    """Run a sweep of one cell and watch its processes. Raises RuntimeError with its output when it does not end well."""
    with tempfile.TemporaryDirectory(prefix="lor-b-") as scratch, (Path(scratch) / "log").open("w+") as log:
        file, out = Path(scratch) / "start.toml", Path(scratch) / "out"
        file.write_text(SWEEP)
        command = [sys.executable, "-m", "jobs.sweep", str(file), "--out", str(out), "--set", f"executor={executor}"]
        environment = {**os.environ, "PYTHONPATH": str(tree), "RAY_worker_niceness": "0"}
        begun = time.monotonic()
        driver = psutil.Popen(command, cwd=tree, env=environment, stdout=log, stderr=subprocess.STDOUT)
        seen: dict[psutil.Process, float] = {}
        first: tuple[float, float] | None = None
        while driver.poll() is None and time.monotonic() - begun < LIMIT_S:
            look(driver, seen)
            if first is None and has_stepped(out):
                first = time.monotonic() - begun, sum(seen.values())
            time.sleep(POLL_S)
        if driver.poll() is None:
            driver.kill()
        if driver.wait() != 0 or first is None:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)} in {tree} ended with {driver.returncode}:\n{log.read()}")
        return Start(*first, time.monotonic() - begun, sum(seen.values()), len(seen))


def look(driver: psutil.Process, seen: dict[psutil.Process, float]) -> None:
    """Note the CPU seconds of the driver and its descendants so far; those that have ended keep their last."""
    with suppress(psutil.NoSuchProcess):
        for process in [driver, *driver.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                seen[process] = max(seen.get(process, 0.0), times.user + times.system)


def has_stepped(out: Path) -> bool:
    """Return whether a cell has noted the loss of a step."""
    return any(b"train_loss" in journal.read_bytes() for journal in out.glob("cells/*/metrics.jsonl"))


def lines(found: dict[str, list[Start]]) -> list[str]:
    """Return the medians as lines of text."""
    names = Start.__dataclass_fields__
    return [
        f"{tree}: " + ", ".join(f"{name} {statistics.median(getattr(one, name) for one in starts):.1f}" for name in names) for tree, starts in found.items()
    ]


if __name__ == "__main__":
    main()
