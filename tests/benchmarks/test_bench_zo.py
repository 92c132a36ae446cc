"""The benchmark of zeroth order runs and its report can be read; what it measures is not judged on a shared machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
def test_a_quick_run_writes_its_report(tmp_path):
    out = tmp_path / "bench.json"
    command = [sys.executable, str(HERE / "bench_zo.py"), "--quick", "--only", "streamed", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300)
    (result,) = json.loads(out.read_text())["results"]
    assert result["value"] > 0
    assert "streamed" in result["name"]


@pytest.mark.slow
def test_a_whole_quick_run_writes_its_report(tmp_path):
    out = tmp_path / "bench.json"
    subprocess.run([sys.executable, str(HERE / "bench_zo.py"), "--quick", "--out", str(out)], check=True, capture_output=True, timeout=1500)
    report = json.loads(out.read_text())
    assert report["quick"] is True
    assert len(report["results"]) == 19
