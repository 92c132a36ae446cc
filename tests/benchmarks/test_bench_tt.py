"""The benchmark runs and reports every comparison that it names; how fast anything is, no test asks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("bench_tt.py")


@pytest.mark.slow
def test_a_quick_run_reports_every_comparison(tmp_path):
    out = tmp_path / "bench.json"
    done = subprocess.run([sys.executable, SCRIPT, "--quick", "--out", out], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert report["quick"] is True
    assert report["machine"].keys() == {"torch", "python", "machine", "threads"}
    assert report["machine"]["threads"] == 1

    comparisons = report["comparisons"]
    for one in comparisons:
        assert one.keys() == {"name", "ours", "other", "unit", "ratio", "target", "met"}
        assert one["ratio"] == pytest.approx(one["ours"] / one["other"])
        assert one["met"] is (None if one["target"] is None else one["ratio"] <= one["target"])
        assert one["name"] in done.stdout
    names = [one["name"] for one in comparisons]
    assert len(set(names)) == len(names)
    compared = {name.rpartition(": ")[2] for name in names}
    packages = {"loretta", "tensorly-torch"} - set(report["absent"])
    assert compared == {"rebuilt", "nn.Linear", "lora", "dense bottleneck", "with lora r=8"} | packages
    assert sorted({one["target"] for one in comparisons if one["target"]}) == [0.1, 0.15, 0.4, 0.6, 0.7, 1.0, 1.05]
