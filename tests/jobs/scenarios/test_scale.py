"""Ten thousand cells: looking at them, and computing the last one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.tracking.mlflow_setup import default_uri
from loretta_core.config import load_sweep
from loretta_core.store.layout import cell_directory
from loretta_core.store.notes.sent import Sent, note_sent
from loretta_core.store.output_dir import check_output_dir
from loretta_core.store.record_files import write_record
from tests.jobs.head import stop_all
from tests.jobs.synthetic import finished_record
from tests.jobs.test_sweep import ROOT, Place, shared, start, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SWEEP = """
name = "synthetic"
[defaults]
model = "toy-bert"
task = "toy_sentiment"
[axes]
method = ["lora", "loretta_adp", "loretta_rep", "adapters", "ft"]
trainer = ["adam", "zo_sgd"]
seed = %s
""" % [*range(100), *range(1000, 1900)]

LOOK = """
import resource, sys, time
started = time.process_time()
from pathlib import Path
from jobs.storage.ledger import read_status
from loretta_core.config import load_sweep
from services.commands.dry_run import dry_run
config = load_sweep(sys.argv[1])
out = Path(sys.argv[2])
read_status(out, config.cells)
dry_run(config, out=out, as_json=False)
print(len(config.cells), time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.fixture(scope="module")
def almost(tmp_path_factory) -> Place:
    """9,999 of 10,000 cells are finished."""
    directory = tmp_path_factory.mktemp("scale")
    here = Place(directory / "scale.toml", directory / "out")
    here.file.write_text(SWEEP)
    check_output_dir(here.out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        for cell in load_sweep(here.file).cells[:-1]:
            write_record(finished_record(cell), cell_directory(here.out, cell.cell_id))
            note_sent(cell_directory(here.out, cell.cell_id), Sent(sink="mlflow", to=default_uri(here.out), sweep="synthetic"))
    return here


def test_expanding_planning_and_the_ledger_take_ten_seconds_and_a_gigabyte(almost):
    done = subprocess.run([sys.executable, "-c", LOOK, str(almost.file), str(almost.out)], cwd=ROOT, capture_output=True, text=True, check=True)
    cells, seconds, peak_bytes = done.stdout.split()
    print(f"{cells} cells: {float(seconds):.1f} s of CPU, {int(peak_bytes) / 1e6:.0f} MB")
    assert int(cells) == 10_000
    assert float(seconds) <= 15.0  # 10 on a machine that does nothing else
    assert int(peak_bytes) <= 1e9


def test_the_last_cell_begins_soon(almost, head):
    cell = load_sweep(almost.file).cells[-1]
    begun = cell_directory(almost.out, cell.cell_id) / "attempts.txt"
    started = time.monotonic()
    process = start([*almost.command, "--set", "executor=inline"], shared(head))
    try:
        wait_until(begun.exists, process)
        seconds = time.monotonic() - started
        print(f"the last of 10,000 cells began after {seconds:.1f} s")
        output, errors = process.communicate(timeout=600)
        assert process.returncode == 0, output + errors
        assert "9999 of 10000 cells finished, 1 to run" in output
        assert seconds <= 60.0  # 10 on a machine that does nothing else
    finally:
        stop_all(process.pid)


def test_the_records_are_where_they_should_be(almost):
    assert len(list(Path(almost.out / "cells").iterdir())) == 10_000
