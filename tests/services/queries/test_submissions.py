"""Submissions: one job per sweep, restarts under the same id, jobs that Ray has forgotten, and an entry point without text of a sweep."""

import shlex

import pytest

from services.queries.errors import NotFound, RayUnavailable
from services.queries.submissions import Submissions, pinned_versions
from services.server.submission_policy import SubmissionPolicy
from tests.services.conftest import SWEEP


@pytest.fixture
def submissions(results, cluster):
    return Submissions(out=results, client=cluster, policy=SubmissionPolicy())


def test_the_same_sweep_starts_once(submissions, cluster):
    first, started = submissions.submit(SWEEP, submitted_by="ada")
    again, started_again = submissions.submit("# a comment\n" + SWEEP, submitted_by="bob")
    assert (started, started_again) == (True, False)
    assert first.submission_id == again.submission_id
    assert again.submitted_by == "ada"
    assert len(cluster.requests) == 1
    other, _ = submissions.submit(SWEEP, overrides=["seed=1"])
    assert other.submission_id != first.submission_id


def test_one_that_ended_goes_on_under_its_id_and_its_log_is_kept(submissions, cluster, results):
    job, _ = submissions.submit(SWEEP)
    cluster.end(job.submission_id, "FAILED")
    again, started = submissions.submit(SWEEP)
    assert started
    assert (again.submission_id, again.starts, again.status) == (job.submission_id, 2, "RUNNING")
    assert (results / "submissions" / job.submission_id / "logs-1.txt").read_text() == f"log of {job.submission_id}\n"


def test_a_cluster_that_forgot_its_jobs_takes_nothing_from_us(submissions, cluster):
    job, _ = submissions.submit(SWEEP)
    cluster.known.clear()
    assert [(each.submission_id, each.status) for each in submissions.jobs()] == [(job.submission_id, "UNKNOWN")]
    again, started = submissions.submit(SWEEP)
    assert started
    assert again.starts == 2


def test_the_command_is_ours(submissions, cluster, results):
    evil = SWEEP.replace("two cells", "; rm -rf / #").replace("steps = 5", "steps = 6")
    submissions.submit(evil, overrides=["description='$(touch x); `y`'"])
    request = cluster.requests[0]
    assert shlex.split(request.entrypoint) == [
        "python", "-m", "jobs.sweep", "sweep.toml", "--out", str(results), "--set", "description='$(touch x); `y`'",
    ]  # fmt: skip
    assert (request.working_dir / "sweep.toml").read_text() == evil
    assert sorted(path.name for path in request.working_dir.iterdir()) == ["sweep.toml"]


def test_versions_are_pinned_on_request(results, cluster):
    Submissions(out=results, client=cluster, policy=SubmissionPolicy(), pin_versions=True).submit(SWEEP)
    assert cluster.requests[0].runtime_env["pip"] == pinned_versions()
    assert any(pin.startswith("transformers==") for pin in pinned_versions())
    assert not any("+" in pin for pin in pinned_versions())


def test_what_is_not_known_is_not_found(submissions):
    for name in ("none", "../../etc", ".hidden", ""):
        with pytest.raises(NotFound):
            submissions.job(name)


def test_a_crash_between_noting_and_starting_is_repaired_by_submitting_again(submissions, cluster, monkeypatch):
    monkeypatch.setattr(cluster, "submit", lambda request: (_ for _ in ()).throw(RayUnavailable("gone")))
    with pytest.raises(RayUnavailable):
        submissions.submit(SWEEP)
    monkeypatch.undo()
    assert [job.status for job in submissions.jobs()] == ["UNKNOWN"]
    assert submissions.submit(SWEEP)[1]
