"""A sweep from Python: the tables of a sweep file as a dict, run on a Ray that is started for it.

    python -m jobs.examples.sweep_from_python [OUT]

Run it twice with the same OUT: every cell is finished, nothing is computed, the comparison is printed again.
"""

import sys
import tempfile
from pathlib import Path

from jobs.sweep import sweep
from loretta_core.config.sweep.load import resolve_sweep

SWEEP = {
    "name": "ranks",
    "executor": "inline",  # the processes of Ray Tune's trials: the shortest start
    "defaults": {"model": "toy-bert", "task": {"type": "toy_sentiment", "train_rows": 200, "validation_rows": 100, "test_rows": 200}},
    "axes": {"method": ["lora", {"type": "loretta_adp", "tensor_rank": 2}], "trainer": ["adam"], "trainer.steps": [20]},
}
"""What a TOML file would say; `load_sweep(path)` reads one."""


def main(out: Path) -> int:
    """Run the sweep; 0 when all cells are finished."""
    config = resolve_sweep(SWEEP, overrides=["trainer.lr=2e-3"])  # texts as after --set; they win over the tables
    for cell in config.cells:
        print(cell.cell_id, cell.label)
    return sweep(config, out=out)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(main(Path(directory)))
