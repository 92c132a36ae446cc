"""Packs on real Ray: each cell leaves what it leaves by itself, and kill -9 of the process that computes them all loses none."""

import signal
from pathlib import Path

import psutil
import pytest

from jobs.tracking.mlflow_setup import connect, default_uri
from loretta_core.config import load_sweep
from loretta_core.store.record_files import find_records
from loretta_core.train.run import run_cell
from tests.jobs.head import stop_all
from tests.jobs.test_sweep import LIMIT_S, Place, run, shared, start, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SWEEP = """
max_concurrent = 1
[defaults]
model = "toy-bert"
task = { type = "toy_sentiment", train_rows = 64, validation_rows = 40, test_rows = 70 }
method = "loretta_adp"
[axes]
trainer = [
    { type = "zo_sgd", lr = 1e-3, zo_eps = 1e-2, steps = 200, eval_every = 20 },
    { type = "zo_sgd", lr = 1e-2, zo_eps = 1e-2, steps = 100, eval_every = 20 },
    { type = "zo_adam", lr = 1e-3, zo_eps = 1e-2, steps = 200, eval_every = 20 },
]
"""


@pytest.fixture
def here(tmp_path) -> Place:
    file = tmp_path / "packed.toml"
    file.write_text(SWEEP)
    return Place(file, tmp_path / "out")


def command_of(place):
    command = place.command
    command[2] = "jobs.sweep"
    return command


def check(place, directory):
    """Every cell has its record, like that of the cell alone, and its MLflow run."""
    cells, records = load_sweep(place.file).cells, find_records(place.out).records
    for cell in cells:
        found, alone = records[cell.cell_id], run_cell(cell, directory=directory / cell.cell_id)
        assert found.status == "finished"
        assert found.curves["train_loss"][0][1] == pytest.approx(alone.curves["train_loss"][0][1], rel=1e-5)
        assert found.score.value == pytest.approx(alone.score.value, abs=0.05)
        assert found.digests.inputs == alone.digests.inputs
    client = connect(default_uri(place.out))
    runs = client.search_runs([client.get_experiment_by_name("packed").experiment_id], filter_string="tags.cell_id != ''")
    assert sorted((run.data.tags["cell_id"], run.info.status) for run in runs) == sorted((cell.cell_id, "FINISHED") for cell in cells)
    return records, runs


def test_cells_of_a_pack_end_as_by_themselves(head, here, tmp_path):
    ran = run(command_of(here), shared(head))
    assert ran.code == 0, ran.output + ran.errors
    assert "3 cells in 1 pack on 1 worker group" in ran.output
    assert "3 cells were computed in 1 pack: the time of such a cell is its share" in ran.output
    records, runs = check(here, tmp_path / "alone")
    (pack_id,) = {record.pack.pack_id for record in records.values()}
    assert {run.data.tags["pack_id"] for run in runs} == {pack_id}
    assert {record.pack.cells for record in records.values()} == {3}


def test_a_pack_whose_process_is_killed_is_finished_cell_by_cell(head, here, tmp_path):
    process = start(command_of(here), {**shared(head), "OMP_NUM_THREADS": "1"})
    try:
        cells = [cell.cell_id for cell in load_sweep(here.file).cells]
        wait_until(lambda: all(_lines(here.out / "cells" / cell_id / "metrics.jsonl") > 25 for cell_id in cells), process)
        (worker,) = [each for each in psutil.process_iter(["cmdline"]) if "CellWorker" in " ".join(each.info["cmdline"] or ())]
        worker.send_signal(signal.SIGKILL)
        output, errors = process.communicate(timeout=LIMIT_S)
    finally:
        stop_all(process.pid)
    assert process.returncode == 0, output + errors
    assert "it starts anew when a cell waits for it" in output
    records, _ = check(here, tmp_path / "alone")
    assert {record.pack for record in records.values()} == {None}


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.is_file() else 0
