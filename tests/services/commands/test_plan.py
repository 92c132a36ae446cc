"""`loretta plan`: a table for people, rows for machines; no torch."""

import json
import shutil
import subprocess
import sys

import pytest

from loretta_core.config import load_sweep
from services import cli

SWEEP = "jobs/sweeps/llama_sst2.toml"


def test_rows_have_what_a_reader_needs(capsys):
    assert cli.main(["plan", SWEEP, "--device", "a100-40gb", "--device", "a100-80gb", "--device", "h100-80gb:4", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 18
    assert {"cell_id", "model", "method", "trainer", "precision", "device", "fits", "peak_bytes", "engine"} <= rows[0].keys()
    full = [row for row in rows if (row["method"], row["trainer"]) == ("ft", "adam")]
    assert [(row["device"], row["fits"]) for row in full] == [("a100-40gb", False), ("a100-80gb", True), ("h100-80gb:4", True)]
    assert all(row["fits"] for row in rows if row not in full)
    assert full[0]["trainable_params"] == 6_738_415_616


def test_the_table_says_what_would_fit_and_how_long_it_all_takes(capsys):
    assert cli.main(["plan", SWEEP, "--device", "a100-40gb"]) == 0
    text = capsys.readouterr().out
    assert "67.4 GB of 40.4 GB" in text
    assert "it fits with engine = zero-2 × 1, offload cpu" in text
    assert "a100-40gb: 5 of 6 cells fit; all of them take " in text


@pytest.mark.parametrize(("devices", "message"), [([], "no device given"), (["--device", "b200"], "unknown device 'b200'")])
def test_a_device_is_asked_for(devices, message, capsys):
    assert cli.main(["plan", SWEEP, *devices]) == 2
    assert message in capsys.readouterr().err


def test_planning_imports_no_torch():
    code = "import sys; from services.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "plan", SWEEP, "--device", "a100-80gb"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("finished", "line"), [(1, "a100-40gb: 1 of 1 cell fit; all of them take "), (2, None)])
def test_finished_cells_are_said_and_left_out_of_the_totals(finished, line, sweep_file, results, capsys):
    for cell in load_sweep(sweep_file).cells[finished:]:
        shutil.rmtree(results / "cells" / cell.cell_id)
    command = ["plan", str(sweep_file), "--device", "a100-40gb", "--out", str(results)]
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert f"{finished} of 2 cells finished ({results}); not in what follows" in text
    assert (line in text) if line else ("all of them take" not in text)
    assert cli.main([*command, "--json"]) == 0
    assert sorted(row["status"] for row in json.loads(capsys.readouterr().out)) == ["finished"] * finished + ["new"] * (2 - finished)
