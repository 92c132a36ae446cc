"""The benchmark runs and reports what it promises; its numbers are not judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_quick_run_writes_every_field(tmp_path):
    report = tmp_path / "report.json"
    command = [sys.executable, "tests/benchmarks/bench_end_to_end.py", "--quick", "--steps", "1", "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert found.keys() == {"quick", "machine", "results"}
    assert found["machine"].keys() == {"torch", "python", "bf16_instructions", "threads"}
    assert [one["name"].split(":")[0] for one in found["results"]] == [
        "tokens computed per useful token, ours", "tokens computed per useful token, padded to 128", "lora", "lora", "loretta_adp", "loretta_adp",
    ]  # fmt: skip
    assert all(one["value"] > 0 for one in found["results"])
    assert found["results"][0]["met"] is True  # counted, not timed
