"""The benchmark of ranked answers runs and its report can be read; what it measures is not judged on a shared machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_quick_run_writes_its_report(tmp_path):
    out = tmp_path / "bench.json"
    command = [sys.executable, str(Path(__file__).parent / "bench_ranking.py"), "--quick", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=600)
    assert len(json.loads(out.read_text())["results"]) == 12
