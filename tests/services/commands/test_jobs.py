"""`loretta submit | status | logs | stop` against a real server in this process."""

import json

from services import cli
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
