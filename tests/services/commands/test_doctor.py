"""`loretta doctor`, the part that looks at the machine, and what it prints."""

import json
import shutil
from collections import namedtuple

import pytest

from jobs.execution.connection import session_directory
from loretta_core.findings import Finding
from services import cli
from services.commands import doctor
from services.commands.doctor import CONSTRAINTS, pins, show, versions


def test_the_pins_of_the_project_are_read():
    found = pins(CONSTRAINTS)
    assert found["ray"].startswith("2.60")
    assert {"torch", "mlflow", "ast-serialize"} <= found.keys()  # names as packages are normalised


@pytest.mark.parametrize(
    ("installed", "state", "text"),
    [
        ({"ray": "2.60.0", "torch": "2.13.0+cpu"}, "ok", "2 packages as in constraints.txt"),  # a build of the same version
        ({"ray": "2.59.0"}, "problem", "ray 2.59.0 (tested: 2.60.0)"),
        ({}, "ok", "0 packages"),
    ],
)
def test_versions_are_compared_with_what_is_tested(installed, state, text):
    finding = versions({"ray": "2.60.0", "torch": "2.13.0"}, installed=installed)
    assert (finding.state, text in finding.text) == (state, True), finding


def test_a_full_disk_is_a_problem(tmp_path, monkeypatch):
    usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(100, 99, 1_500_000_000))
    finding = doctor.disk(tmp_path / "not" / "there")
    assert (finding.state, finding.text) == ("problem", f"1.5 GB free at {tmp_path}")


def test_a_driver_that_fails_is_a_problem(tmp_path, monkeypatch):
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\nexit 9\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert doctor.gpus().state == "problem"
    script.write_text("#!/bin/sh\necho 'NVIDIA H100, 80000, 81559'\n")
    assert doctor.gpus().text == "NVIDIA H100: 80000 of 81559 MiB free"


FINDINGS = [Finding("disk", "ok", "much"), Finding("lock", "fixed", "was left"), Finding("mlflow", "problem", "1 run left running", "loretta doctor --fix")]


def test_problems_come_with_what_to_do_and_decide_the_exit_code():
    text, code = show(FINDINGS, as_json=False)
    assert code == 1
    assert text.endswith("problem  mlflow: 1 run left running\n         → loretta doctor --fix\n\n1 problem found")
    assert show(FINDINGS[:2], as_json=False)[0].endswith("healthy")
    assert show(FINDINGS[:2], as_json=False)[1] == 0


def test_json_for_machines():
    content = json.loads(show(FINDINGS, as_json=True)[0])
    assert content["healthy"] is False
    assert content["findings"][2] == {"what": "mlflow", "state": "problem", "text": "1 run left running", "advice": "loretta doctor --fix"}


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(doctor, "installed_versions", dict)
    monkeypatch.setattr(session_directory, "dead_session_directories", list)  # what others left on this machine
    assert cli.main(["doctor", "--out", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["healthy"] is True
    assert not (tmp_path / "out").exists()  # looking leaves nothing behind
