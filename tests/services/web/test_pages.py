"""The pages together: links between them, escaping of foreign text, no requests to other hosts, error pages."""

import re

import pytest

from services.queries.errors import RayUnavailable
from tests.services.conftest import SWEEP


def test_from_the_list_to_a_cell(api):
    assert 'href="/sweeps/small"' in api.get("/").text
    page = api.get("/sweeps/small").text
    assert "2 of 2 finished" in page
    cell = re.search(r'href="/cells/([0-9a-f]{16})"', page)[1]
    shown = api.get(f"/cells/{cell}").text
    assert "loretta run --set" in shown
    assert "0.900 ± 0.020" in shown
    assert 'href="/sweeps/small"' in shown


def test_a_plan_and_a_submission(api, cluster):
    planned = api.post("/submit", data={"toml": SWEEP, "devices": "cpu a100-80gb", "action": "plan"})
    assert planned.status_code == 200
    assert "Plan of small" in planned.text
    assert "a100-80gb" in planned.text
    assert not cluster.requests
    done = api.post("/submit", data={"toml": SWEEP.replace("\n", "\r\n"), "devices": "cpu", "action": "submit"})
    assert done.status_code == 303
    job = api.get(done.headers["location"]).text
    assert "log of small-" in job
    assert api.post(f"{done.headers['location']}/stop").status_code == 303
    assert "stopped" in api.get(done.headers["location"]).text
    assert cluster.requests[0].submission_id in api.get("/").text


def test_a_cluster_that_is_away_loses_nothing_that_was_typed(api, cluster, monkeypatch):
    def gone():
        raise RayUnavailable("Ray does not answer")

    monkeypatch.setattr(cluster, "find", lambda name: gone())
    page = api.post("/submit", data={"toml": SWEEP, "devices": "cpu", "action": "submit"})
    assert page.status_code == 503
    assert "Ray does not answer" in page.text
    assert "two cells" in page.text
    monkeypatch.setattr(cluster, "list_jobs", gone)
    assert "Ray does not answer" in api.get("/").text
    assert api.get("/sweeps/small").status_code == 200
    assert api.get("/api/v1/jobs").status_code == 503


def test_a_damaged_sweep_does_not_hide_the_others(api, results):
    (results / "sweeps" / "torn").mkdir()
    (results / "sweeps" / "torn" / "sweep.json").write_text('{"format": 1, "na')
    page = api.get("/").text
    assert 'href="/sweeps/small"' in page
    assert "torn/sweep.json: damaged" in page
    listed = api.get("/api/v1/sweeps").json()
    assert [each["name"] for each in listed["sweeps"]] == ["small"]
    assert "damaged" in listed["damaged"][0]
    assert api.get("/sweeps/torn").status_code == 422


def test_what_comes_from_outside_is_escaped(api, results, sweep_file):
    from loretta_core.config import load_sweep
    from loretta_core.store.manifest import write_manifest

    sweep_file.write_text(SWEEP.replace("two cells", "<script>alert(1)</script>"))
    write_manifest(results, sweep=load_sweep(sweep_file))
    for path in ("/", "/sweeps/small"):
        page = api.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
    assert "<script>" not in api.post("/submit", data={"toml": "</textarea><script>", "action": "plan"}).text


def test_pages_load_nothing_from_elsewhere(api):
    for path in ("/", "/sweeps/small", "/submit", "/login", "/static/page.css", "/static/page.js"):
        text = api.get(path).text
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', text)
        assert " style=" not in text
        assert not re.findall(r"<script>|\son\w+=", text)


@pytest.mark.parametrize(
    "path", ["/sweeps/none", "/cells/0000", "/jobs/none", "/static/../pages.py", "/static/none", "/sweeps/small/figures/none.svg", "/nowhere"]
)
def test_what_is_not_there_is_a_page_that_says_so(path, api):
    answer = api.get(path)
    assert answer.status_code == 404
    assert "All sweeps" in answer.text
