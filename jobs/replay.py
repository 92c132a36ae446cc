"""`python -m jobs.replay CELL --step N`: rebuild the weights of a zeroth-order cell at any step from its replay log, 4 bytes per step."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from loretta_core.errors import ConfigError, LorettaError
from loretta_core.store.adapter_files import ADAPTER_NAME
from loretta_core.store.layout import find_cell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        found = replay_cell(options.cell, out=options.out, step=options.step, to=options.to)
    except LorettaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    print(json.dumps(asdict(found), default=str) if options.json else found.text)
    return 0


@dataclass(frozen=True)
class Replayed:
    """The weights that a replay rebuilt, and where it saved them."""

    cell_id: str
    step: int
    weights_sha256: str
    adapter: Path

    @property
    def text(self) -> str:
        """The replay in words, for people."""
        return f"step {self.step}: weights {self.weights_sha256}\nsaved to {self.adapter}"


def replay_cell(cell: str, *, out: Path, step: int | None, to: Path | None) -> Replayed:
    """Rebuild the weights of a cell after `step` and save them. `cell` is an id, or its first digits. Raises ConfigError when it names no cell or several."""
    directory = find_cell(out, cell)
    from loretta_core.train.replay_step import restore_step  # seconds of import that a wrong id need not wait for

    target = to or directory / "replayed" / ("best" if step is None else f"step-{step}")
    restored, digest = restore_step(directory, step=step, to=target)
    return Replayed(directory.name, restored, digest, target / ADAPTER_NAME)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs.replay", description="Rebuild the weights of a zeroth-order cell at any step from its replay log.")
    parser.add_argument("cell", help="id of the cell, or its first digits")
    parser.add_argument("--step", type=int, help="0 is before training (default: the step whose weights were kept)")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="output directory of the cell (default: outputs)")
    parser.add_argument("--to", type=Path, help="where to save (default: OUT/cells/CELL/replayed/step-N)")
    parser.add_argument("--json", action="store_true", help="print what was restored as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
