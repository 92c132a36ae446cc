"""An output directory with results in it, and a way to see that nobody touched them."""

from pathlib import Path

import pytest

from jobs.mlflow_sink import ARRIVED_NAME
from loretta_core.config import load_sweep
from loretta_core.report.manifest import write_manifest
from loretta_core.report.records import check_output_dir, write_record
from tests.jobs.synthetic import finished_record

SWEEP = """
name = "small"
description = "two cells"
[defaults]
model = "toy-bert"
task = "toy_sentiment"
trainer = {type = "adam", steps = 5}
[axes]
method = ["lora", {type = "loretta_adp", tensor_rank = 4}]
"""


@pytest.fixture
def sweep_file(tmp_path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SWEEP)
    return path


@pytest.fixture
def results(tmp_path, sweep_file) -> Path:
    """OUT after the sweep: every cell finished."""
    out = tmp_path / "results"
    check_output_dir(out)
    write_manifest(out, sweep=load_sweep(sweep_file))
    finish(sweep_file, out)
    return out


def finish(sweep_file: Path, out: Path) -> None:
    """Leave what every cell of a sweep leaves: a record, and the note that MLflow has it all."""
    for cell in load_sweep(sweep_file).cells:
        write_record(finished_record(cell), out / "cells" / cell.cell_id)
        (out / "cells" / cell.cell_id / ARRIVED_NAME).touch()


def contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Path → modification time and content of every file."""
    return {str(path.relative_to(directory)): (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(directory.rglob("*")) if path.is_file()}
