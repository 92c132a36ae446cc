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


@pytest.mark.slow
@pytest.mark.ray
def test_a_full_run_reports_every_number(tmp_path):
    report = tmp_path / "bench.json"
    done = subprocess.run([sys.executable, SCRIPT, "--cells", "3", "--noops", "5", "--json", report], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    names = {"overhead_per_cell_s", "overhead_per_cell_inline_s", "bare_loop_s", "bare_overhead_s", "naive_s", "noop_s", "tune_noop_s"}
    assert found.keys() == {"quick", "machine", "met"} | names
    assert all(found[name] > 0 for name in names)
