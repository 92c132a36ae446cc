"""A new method is one config class (`gain.py`), one file (`gain_tuner.py`) and one line in the table: then everything knows it."""

import json
import subprocess
import sys

import pytest

from loretta_core.methods import METHODS
from tests.paths import ROOT

pytestmark = pytest.mark.integration


ADD_AND_WALK = """
import pathlib, sys
from loretta_core.methods.table import METHODS
from tests.loretta_core.methods.scenarios.gain import Gain

METHODS["gain"] = Gain  # the one line

from tests.loretta_core.methods.scenarios.walk import main
main(pathlib.Path(sys.argv[1]))
"""
"""In a process of its own: the families of a sweep are made when `loretta_core.config` is imported, and PEFT keeps a new type for good."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what each step said of `gain`, from a process that added it."""
    command = [sys.executable, "-c", ADD_AND_WALK, str(tmp_path_factory.mktemp("gain"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_method_is_not_part_of_the_project():
    assert "gain" not in METHODS


def test_it_is_listed_with_its_settings(found):
    assert [field["name"] for field in found["listed"]["fields"]] == ["target_modules", "start"]
    assert found["listed"]["refused"] == {}


def test_the_dry_run_and_the_plan_count_what_trains(found):
    trained = [record["cost"]["trainable_params"] for record in found["records"]]
    assert [cell["trainable_params"] for cell in found["dry_run"]] == trained
    assert [row["trainable_params"] for row in found["plan"]] == trained
    assert all(row["fits"] and row["peak_bytes"] > 0 for row in found["plan"])


def test_it_trains_with_first_and_zeroth_order(found):
    assert [record["status"] for record in found["records"]] == ["finished"] * 4
    assert [record["cost"]["steps"] for record in found["records"]] == [4] * 4


def test_plain_peft_reads_the_saved_adapter(found):
    assert found["reloads"] == "GainConfig"


def test_the_report_shows_it_and_explains_it(found):
    assert "gain: one factor per output of some matrices." in found["report"]
    assert "start=0.25" in found["report"]
