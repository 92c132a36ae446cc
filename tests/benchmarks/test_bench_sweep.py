"""The benchmark runs and reports what it promises; its numbers are not judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.bench_sweep import overheads

SCRIPT = Path(__file__).with_name("bench_sweep.py")


def test_the_overhead_is_the_time_between_ends_that_was_not_spent_inside(tmp_path):
    for name, pid, ended, inside_s in (("a", 1, 10.0, 1.0), ("b", 1, 12.5, 2.0), ("c", 2, 30.0, 1.0), ("d", 1, 13.0, 0.25)):
        (tmp_path / "cells" / name).mkdir(parents=True)
        (tmp_path / "cells" / name / "times.json").write_text(json.dumps({"pid": pid, "ended": ended, "inside_s": inside_s}))
    assert overheads(tmp_path) == [0.5, 0.25]


def reported(out, *options):
    command = [sys.executable, SCRIPT, "--json", out, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    found = {name: value for name, value in report.items() if name not in ("quick", "machine", "met")}
    assert all(value > 0 for value in found.values())
    return found.keys()


QUICK = {"overhead_per_cell_s", "bare_loop_s", "bare_overhead_s"}


@pytest.mark.slow
@pytest.mark.ray
def test_a_quick_run_reports_the_default_executor(tmp_path):
    assert reported(tmp_path / "bench.json", "--quick", "--cells", "2") == QUICK


@pytest.mark.slow
@pytest.mark.ray
def test_a_full_run_reports_every_number(tmp_path):
    found = reported(tmp_path / "bench.json", "--cells", "3", "--noops", "5")
    assert found == QUICK | {"overhead_per_cell_inline_s", "naive_s", "noop_s", "tune_noop_s"}
