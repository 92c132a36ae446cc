"""Problem documents: status, kind and field of every error, and nothing about an internal one."""

import pytest
from starlette.testclient import TestClient

from services.api.problems import field_errors
from services.queries.run_index import RunIndex
from tests.services.conftest import SWEEP


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "kind"),
    [
        ("GET", "/api/v1/sweeps/none", None, 404, "not-found"),
        ("GET", "/api/v1/cells/0000", None, 404, "not-found"),
        ("GET", "/api/v1/cells/..", None, 404, "404"),
        ("GET", "/api/v1/jobs/none", None, 404, "not-found"),
        ("GET", "/api/v1/none", None, 404, "404"),
        ("PUT", "/api/v1/jobs", None, 405, "405"),
        ("GET", "/api/v1/sweeps?limit=0", None, 422, "request"),
        ("POST", "/api/v1/jobs", {"toml": "", "command": "rm"}, 422, "request"),
        ("POST", "/api/v1/jobs", {"toml": SWEEP.replace("tensor_rank", "tensor_rnk")}, 422, "config"),
        ("POST", "/api/v1/plans", {"toml": SWEEP, "devices": ["abacus"]}, 422, "config"),
    ],
)
def test_errors_are_problem_documents(method, path, content, status, kind, api):
    answer = api.request(method, path, json=content)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"urn:loretta:problem:{kind}"
    assert problem["status"] == status
    assert problem["detail"]


def test_a_problem_names_the_field(api):
    problem = api.post("/api/v1/jobs", json={"toml": SWEEP.replace("tensor_rank = 4", "tensor_rank = 0")}).json()
    assert [error["field"] for error in problem["errors"]] == ["axes.method[1].tensor_rank"]
    assert field_errors("name: missing. Give it")[0].field == "name"
    assert field_errors("something else went wrong: badly")[0].field == ""


def test_a_bug_shows_nothing_of_itself(api, monkeypatch):
    monkeypatch.setattr(RunIndex, "names", lambda self: 1 / 0)
    client = TestClient(api.app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)
    answer = client.get("/api/v1/sweeps")
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-frame-options"] == "DENY"
