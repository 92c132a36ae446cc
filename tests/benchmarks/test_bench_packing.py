"""The benchmark of packs runs and its report can be read; what it measures is not judged on a shared machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("bench_packing.py")


def results(out, *options):
    command = [sys.executable, str(SCRIPT), "--quick", "--json", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=550, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert report.keys() == {"quick", "machine", "results"}
    assert report["machine"].keys() == {"torch", "python", "threads", "device"}
    assert all(one["value"] == pytest.approx(one["other"] / one["ours"]) for one in report["results"])
    return [one["name"] for one in report["results"]]


@pytest.mark.slow
def test_a_quick_run_writes_its_report(tmp_path):
    (name,) = results(tmp_path / "bench.json", "--only", "2 cells")
    assert name == "cells per hour, toy-bert, 8 rows, lora zo_sgd, 2 cells, same rows"


@pytest.mark.slow
def test_a_whole_quick_run_writes_its_report(tmp_path):
    names = results(tmp_path / "bench.json")
    assert [name.split(", ")[0] for name in names if "4 cells" in name] == ["cells per hour"] * 8 + ["memory"]
    assert len(names) == 11
