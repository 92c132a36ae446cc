"""Submitting: once for the same sweep, again after it ended, remembered when the cluster forgets, and nothing of a sweep in the command."""

import shlex

import pytest

from loretta_core.errors import ConfigError
from services.queries.errors import NotFound, RayUnavailable
from services.queries.ray_jobs import NoRay, jobs_client
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


@pytest.mark.parametrize("address", ["127.0.0.1:8265", "ray://127.0.0.1:10001", "http://user:secret@127.0.0.1:8265", "http://127.0.0.1:8265/x", "file:///x"])
def test_an_address_that_is_no_dashboard_is_refused(address):
    with pytest.raises(ConfigError, match="expected the address of Ray's dashboard"):
        jobs_client(address, environment={})


def test_another_machine_without_rays_token_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="CVE-2023-48022"):
        jobs_client("http://10.0.0.1:8265", environment={})
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600") as error:
        jobs_client("http://10.0.0.1:8265", environment={"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)})
    assert "secret" not in str(error.value)
    assert isinstance(jobs_client("", environment={}), NoRay)
