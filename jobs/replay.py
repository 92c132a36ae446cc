"""`python -m jobs.replay CELL --step N`: the weights of a zeroth-order cell at any step, rebuilt from 4 bytes per step."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from loretta_core.errors import ConfigError, LorettaError
from loretta_core.report.records import find_cell


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        print(replay_cell(options.cell, out=options.out, step=options.step, to=options.to))
    except LorettaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    return 0


def replay_cell(cell: str, *, out: Path, step: int | None, to: Path | None) -> str:
    """Restore and say what was restored. `cell` is an id, or its first digits. Raises ConfigError when it names no cell or several."""
    directory = find_cell(out, cell)
    from loretta_core.train.restore import restore_step  # seconds of import that a wrong id need not wait for

    target = to or directory / "replayed" / ("best" if step is None else f"step-{step}")
    restored, digest = restore_step(directory, step=step, to=target)
    return f"step {restored}: weights {digest}\nsaved to {target / 'adapter'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs.replay", description="Rebuild the weights of a zeroth-order cell at any step from its replay log.")
    parser.add_argument("cell", help="id of the cell, or its first digits")
    parser.add_argument("--step", type=int, help="0 is before training (default: the step whose weights were kept)")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="output directory of the cell (default: outputs)")
    parser.add_argument("--to", type=Path, help="where to save (default: OUT/cells/CELL/replayed/step-N)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
