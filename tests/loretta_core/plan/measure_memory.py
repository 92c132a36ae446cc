"""Predicted against measured memory at real shapes: `python -m tests.loretta_core.plan.measure_memory [SHAPE …] [--json]`, a Markdown table.

Each cell runs in a process of its own: an evaluation, three steps, an evaluation. `live` is the peak of tensor bytes that a dispatch mode counts; `process` is
how far the resident set rose above what the interpreter with all its imports takes (VmHWM, which Linux resets on request).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from loretta_core.plan.transients import EVALUATION_ROWS

PAIRS = (("ft", "adam"), ("ft", "zo_sgd"), ("lora", "adam"), ("loretta_adp", "adam"), ("loretta_adp", "zo_sgd"))
SHAPES = ("roberta-base", "roberta-large", "llama-1b")
ROWS = {"prompt": EVALUATION_ROWS, "causal": 3 * 8}
"""A full forward of an evaluation, or three batches."""
MOST_FOR_ADAM = 400e6
"""Parameters above which full fine-tuning with Adam is left out on a CPU."""
ONE_MAP_BYTES = str(1 << 20)
"""glibc gives a block of so many bytes or more back at once, so that the resident set is what is alive and not what was."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"of {', '.join(SHAPES)} (default: all)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = (row for name in options.shapes or SHAPES for row in of_shape(name))
    if options.json:
        print(json.dumps(list(found), indent=2))
        return
    print("| shape | method | trainer | predicted MB | live MB | ratio | process MB | ratio |\n|---|---|---|---:|---:|---:|---:|---:|")
    for row in found:
        predicted, live, process = (row[name] / 1e6 for name in ("predicted", "live", "process"))
        print(f"| {row['shape']} | {row['method']} | {row['trainer']} | {predicted:,.0f} | {live:,.0f} | {predicted / live:.2f} | ", end="")
        print(f"{process:,.0f} | {predicted / process:.2f} |", flush=True)


def of_shape(name: str) -> Iterator[dict[str, object]]:
    """Return the rows of one shape: random weights on disk, a process for each pair."""
    from tests.loretta_core.plan.shapes import prompted, save_rows, save_shape, task_of

    with tempfile.TemporaryDirectory() as scratch:
        model, objective = save_shape(Path(scratch) / "model", name), prompted(name)
        task = task_of(save_rows(Path(scratch), rows=ROWS[objective]), objective=objective)
        large = sum(path.stat().st_size for path in model.glob("*.safetensors")) / 4 > MOST_FOR_ADAM
        for method, trainer in PAIRS:
            if not (large and (method, trainer) == ("ft", "adam")):
                yield {"shape": name, "method": method, "trainer": trainer} | in_process(model, task, method, trainer)


def in_process(model: Path, task: str, method: str, trainer: str) -> dict[str, int]:
    """Return predicted, live and process bytes of one cell."""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": ONE_MAP_BYTES, "MALLOC_TRIM_THRESHOLD_": ONE_MAP_BYTES}
    command = [
        sys.executable,
        "-c",
        "import sys; from tests.loretta_core.plan.measure_memory import report; report(*sys.argv[1:])",
        str(model),
        task,
        method,
        trainer,
    ]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout.splitlines()[-1])


def report(model: str, task: str, method: str, trainer: str) -> None:
    """Print the three numbers. The body of a process."""
    from loretta_core.config import cell_from_overrides
    from tests.loretta_core.plan.shapes import warm_up
    from tests.loretta_core.plan.test_memory import predicted_and_live

    cell = cell_from_overrides([f"model={model}", f"task={task}", "trainer.steps=4", f"method={method}", f"trainer={trainer}", "batch_size=8"])
    warm_up()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    predicted, live = predicted_and_live(cell)
    print(json.dumps({"predicted": predicted, "live": live, "process": _status("VmHWM") - before}))


def _status(name: str) -> int:
    """Return the bytes of a line of /proc/self/status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
