"""`loretta submit | status | logs | stop` against a server and a Ray: once for the same sweep, stopped, and going on."""

import json
import time

import pytest

from tests.e2e.conftest import SWEEP

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def test_submit_follow_stop_and_go_on(loretta, site, tmp_path):
    sweep = tmp_path / "walk.toml"
    sweep.write_text(SWEEP.replace('name = "walk"\n', ""))  # a file is called by its name
    long = ("--set", "trainer.steps=100000")
    first = loretta("submit", str(sweep), *long, "--json")
    assert first.returncode == 0, first.stderr
    job = json.loads(first.stdout)
    again = loretta("submit", str(sweep), *long)
    assert again.stdout.startswith("running already: walk-")
    assert job["submission_id"] in again.stdout

    deadline = time.monotonic() + 500
    while not (status := json.loads(loretta("status", job["submission_id"], "--json").stdout))["progress"] or not status["progress"]["running"]:
        assert time.monotonic() < deadline, loretta("logs", job["submission_id"]).stdout
        time.sleep(1)
    assert status["status"] == "RUNNING"
    assert status["progress"]["running"][0]["steps"] == 100_000

    assert loretta("stop", job["submission_id"]).returncode == 0
    followed = loretta("logs", job["submission_id"], "--follow")  # ends by itself: the job is over
    assert "sweep walk: 0 of 2 cells finished, 2 to run" in followed.stdout
    assert json.loads(loretta("status", job["submission_id"], "--json").stdout)["status"] == "STOPPED"

    other = json.loads(loretta("submit", str(sweep), "--json").stdout)
    assert other["submission_id"] != job["submission_id"]
    log = loretta("logs", other["submission_id"], "--follow").stdout
    assert "[2/2]" in log, log
    repeated = json.loads(loretta("submit", str(sweep), "--json").stdout)  # it is over: it starts again, and has nothing to do
    assert (repeated["submission_id"], repeated["starts"]) == (other["submission_id"], 2)
    assert "2 of 2 cells finished, nothing to run" in loretta("logs", other["submission_id"], "--follow").stdout
    assert other["submission_id"] in loretta("status").stdout


def test_what_the_server_refuses_is_one_line(loretta, tmp_path):
    sweep = tmp_path / "bad.toml"
    sweep.write_text(SWEEP.replace('"toy-bert"', '"/etc"'))
    done = loretta("submit", str(sweep))
    assert (done.returncode, done.stdout) == (2, "")
    assert "model.name = '/etc': outside the directories that a sweep may name here" in done.stderr
    assert loretta("status", "none").returncode == 2
