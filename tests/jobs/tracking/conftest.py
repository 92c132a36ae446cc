"""A trained cell and its sweep, made once: what sinks read."""

import shutil
from pathlib import Path

import pytest

from loretta_core.config import SweepConfig
from loretta_core.config.sweep.load import resolve_sweep
from loretta_core.store.manifest import write_manifest
from loretta_core.store.output_dir import check_output_dir
from loretta_core.store.record_files import read_record

TINY = {
    "name": "small",
    "defaults": {
        "model": "toy-bert",
        "task": {"type": "toy_sentiment", "train_rows": 16, "validation_rows": 8, "test_rows": 8},
        "trainer": {"type": "adam", "steps": 2, "eval_every": 1},
        "method": "lora",
    },
    "axes": {"trainer.lr": [1e-3, 1e-4]},
}


@pytest.fixture(scope="session")
def sweep() -> SweepConfig:
    """A sweep of two cells that differ in their learning rate."""
    return resolve_sweep(TINY, overrides=["seed=1"])


@pytest.fixture(scope="session")
def _trained(sweep, tmp_path_factory) -> Path:
    from loretta_core.train.run import run_cell

    out = tmp_path_factory.mktemp("trained") / "out"
    check_output_dir(out)
    write_manifest(out, sweep=sweep)
    for cell in sweep.cells:
        run_cell(cell, directory=out / "cells" / cell.cell_id)
    return out


@pytest.fixture
def trained(_trained, out) -> Path:
    """An output directory with that sweep, finished and sent nowhere."""
    shutil.copytree(_trained, out, dirs_exist_ok=True, copy_function=shutil.copy2)
    return out


@pytest.fixture
def record_of(trained):
    """Return the record of a cell."""
    return lambda cell: read_record(trained / "cells" / cell.cell_id)
