"""`loretta submit | status | logs | stop` against a real server in this process."""

import json

from services import cli
from services.commands.jobs import job_text
from tests.services.conftest import SWEEP


def test_a_job_from_submit_to_stop(served, tmp_path, capsys):
    sweep = tmp_path / "small.toml"
    sweep.write_text(SWEEP.replace('name = "small"\n', ""))  # called by its file
    assert cli.main(["submit", str(sweep), "--json"]) == 0
    job = json.loads(capsys.readouterr().out)["submission_id"]
    assert job.startswith("small-")
    assert cli.main(["submit", str(sweep)]) == 0
    assert capsys.readouterr().out.startswith(f"running already: {job}")
    assert cli.main(["status", job]) == 0
    assert "2 of 2 finished, 0 failed, 0 running" in capsys.readouterr().out
    assert cli.main(["logs", job]) == 0
    assert capsys.readouterr().out == f"log of {job}\n"
    assert cli.main(["logs", job, "--json"]) == 0
    assert "".join(json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()) == f"log of {job}\n"
    assert cli.main(["stop", job]) == 0
    assert "stopped" in capsys.readouterr().out
    assert cli.main(["logs", job, "--follow"]) == 0
    assert cli.main(["status"]) == 0
    assert job in capsys.readouterr().out


def test_a_job_names_what_runs():
    job = {"submission_id": "which-1", "status": "RUNNING", "cells": 9, "sweep": "which", "submitted_by": "ann", "message": ""}
    running = {"cell_id": "0" * 16, "name": "trial 3 of 8 of lora · adam", "step": 20, "steps": 100, "loss": 0.5, "seconds": 4.0}
    progress = {"finished": 2, "total": 9, "failed": 0, "running": [running], "eta_s": 60.0}
    assert job_text(job, progress=progress).splitlines()[1:] == [
        "2 of 9 finished, 0 failed, 1 running, about 1 min 00 s left",
        "  trial 3 of 8 of lora · adam: step 20 of 100, 4.0 s",
    ]
