"""The example of the library, run as its docstring says."""

import os
import re
import subprocess
import sys

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.integration


@pytest.mark.slow
def test_both_orders_learn_and_the_adapter_loads(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", "jobs.examples.library"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert ran.returncode == 0, ran.stderr
    scores = {name: float(value) for name, value in re.findall(r"^([a-zA-Z ]+): ([01]\.\d+)$", ran.stdout, re.MULTILINE)}
    assert scores["AdamW"] > scores["before training"] + 0.1
    assert scores["forward passes only"] > scores["before training"] + 0.05
    assert scores["loaded from disk"] == scores["forward passes only"]
