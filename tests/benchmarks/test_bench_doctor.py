"""The benchmark of verified adapters runs and its report can be read; what it measures is not judged on a shared machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("bench_doctor.py")


@pytest.mark.integration
def test_a_quick_run_writes_its_report(tmp_path):
    command = [sys.executable, str(SCRIPT), "--quick", "--json", str(tmp_path / "bench.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "bench.json").read_text())["results"]
    assert [one["name"] for one in results][:3] == ["sha256", "one after the other", "a thread a core"]
    assert all(one["value"] > 0 for one in results)
