"""The API: what it answers, to whom, and how it says no. The cluster is in memory here; tests/e2e has a real one."""

import pytest
from starlette.testclient import TestClient

from services.api.problems import field_errors
from services.api.request_guard import MAX_BODY_BYTES, SECURITY_HEADERS, RateLimiter
from services.app import make_services
from services.queries.ray_jobs import NoRay
from services.queries.run_index import RunIndex
from services.server.auth import add_token
from tests.services.conftest import SWEEP

BODY = {"toml": SWEEP}


def test_health_says_nothing_but_that_it_is_there(serve_api):
    answer = serve_api(tokens_required=True).get("/api/v1/health")
    assert answer.status_code == 200
    assert answer.json().keys() == {"status", "version"}


def test_a_sweep_from_validation_to_stopping(api, cluster):
    validated = api.post("/api/v1/sweeps/validate", json=BODY).json()
    assert [cell["status"] for cell in validated["cells"]] == ["finished", "finished"]
    assert not cluster.requests
    plan = api.post("/api/v1/plans", json={**BODY, "devices": ["cpu"]}).json()
    assert [row["fits"] for row in plan["rows"]] == [True, True]
    answer = api.post("/api/v1/jobs", json=BODY)
    job = answer.json()
    assert (answer.status_code, job["status"], job["submission_id"]) == (201, "RUNNING", validated["submission_id"])
    assert answer.headers["location"] == f"/api/v1/jobs/{job['submission_id']}"
    assert api.post("/api/v1/jobs", json=BODY).status_code == 200
    assert api.get("/api/v1/jobs").json()["total"] == 1
    address = f"/api/v1/jobs/{job['submission_id']}"
    assert api.get(f"{address}/logs").text == f"log of {job['submission_id']}\n"
    assert api.post(f"{address}/stop").json()["status"] == "STOPPED"
    assert api.get(f"{address}/logs", params={"follow": True}).text == f"log of {job['submission_id']}\n"
    assert api.get(address).json()["status"] == "STOPPED"


def test_sweeps_and_cells_are_read(api):
    listed = api.get("/api/v1/sweeps").json()
    assert [(each["name"], each["finished"], each["total"]) for each in listed["sweeps"]] == [("small", 2, 2)]
    page = api.get("/api/v1/sweeps/small/cells", params={"limit": 1}).json()
    assert (page["total"], page["next_offset"], len(page["cells"])) == (2, 1, 1)
    rest = api.get("/api/v1/sweeps/small/cells", params={"limit": 1, "offset": 1}).json()
    assert rest["next_offset"] is None
    only = api.get("/api/v1/sweeps/small/cells", params={"method": "lora", "sort": "score", "descending": True}).json()
    assert [cell["labels"]["method"] for cell in only["cells"]] == ["lora"]
    cell = api.get(f"/api/v1/cells/{only['cells'][0]['cell_id'][:8]}").json()
    assert cell["record"]["score"] == 0.9
    assert cell["reproduce"].startswith("loretta run --set")
    assert api.get("/api/v1/sweeps/small/comparison").json()["pareto"].keys() == {"trainable_params", "train_seconds", "peak_memory_bytes", "forwards"}
    assert r"\toprule" in api.get("/api/v1/sweeps/small/table", params={"format": "latex"}).text


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


def test_without_a_cluster_submitting_says_what_is_missing(api, application):
    services = application.state.services
    application.state.services = make_services(services.settings, client=NoRay())
    answer = api.post("/api/v1/jobs", json=BODY)
    assert answer.status_code == 503
    assert "loretta serve --ray" in answer.json()["detail"]


def test_roles_decide(serve_api, results):
    read, submit, other, admin = (
        serve_api(token=add_token(results / "tokens.json", name=name, role=role))
        for name, role in (("rea", "read"), ("sub", "submit"), ("other", "submit"), ("adm", "admin"))
    )
    nobody, wrong = serve_api(), serve_api(token="lor_wrong")
    for client in (nobody, wrong):
        answer = client.get("/api/v1/sweeps")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert read.get("/api/v1/sweeps").status_code == 200
    assert read.post("/api/v1/jobs", json=BODY).status_code == 403
    job = submit.post("/api/v1/jobs", json=BODY).json()
    assert job["submitted_by"] == "sub"
    address = f"/api/v1/jobs/{job['submission_id']}/stop"
    assert [client.post(address).status_code for client in (read, other, admin)] == [403, 403, 200]


def test_a_server_that_needs_tokens_stays_shut_when_the_file_disappears(serve_api, results):
    client = serve_api(tokens_required=True, token="anything")
    assert client.get("/api/v1/sweeps").status_code == 401


def test_every_answer_has_the_security_headers(api):
    for path in ("/api/v1/health", "/", "/nowhere", "/static/page.js"):
        headers = api.get(path).headers
        assert all(headers[name] == value for name, value in SECURITY_HEADERS.items())
    assert "no-store" in api.get("/api/v1/sweeps").headers["cache-control"]
    assert "'unsafe" not in SECURITY_HEADERS["content-security-policy"]


def test_foreign_hosts_and_origins_are_refused(serve_api, api, cluster):
    assert serve_api(host="evil.example").get("/api/v1/sweeps").json()["type"].endswith(":host")
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        assert api.post("/api/v1/jobs", json=BODY, headers=headers).status_code == 403
    assert not cluster.requests
    assert api.post("/api/v1/jobs", json=BODY, headers={"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}).status_code == 201


def test_a_large_body_is_refused_before_it_is_read_and_while_it_arrives(api):
    assert api.post("/api/v1/jobs", content=b"x" * (MAX_BODY_BYTES + 1), headers={"content-type": "application/json"}).status_code == 413
    chunks = (b" " * 100_000 for _ in range(8))
    assert api.post("/api/v1/jobs", content=chunks, headers={"content-type": "application/json"}).status_code == 413


def test_too_many_requests_are_told_to_wait(serve_api):
    client = serve_api(requests_per_s=1.0)
    answers = [client.get("/api/v1/health") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "1"


def test_a_bucket_fills_again():
    limiter = RateLimiter(requests_per_s=2.0)
    assert [limiter.allow("a", now=0.0) for _ in range(7)] == [True] * 6 + [False]
    assert limiter.allow("b", now=0.0)
    assert limiter.allow("a", now=0.6)


def test_a_bug_shows_nothing_of_itself(api, monkeypatch):
    monkeypatch.setattr(RunIndex, "names", lambda self: 1 / 0)
    client = TestClient(api.app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)
    answer = client.get("/api/v1/sweeps")
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-frame-options"] == "DENY"


def test_the_document_describes_every_route(api):
    document = api.get("/api/v1/openapi.json").json()
    assert document["paths"]["/api/v1/jobs"].keys() == {"get", "post"}
    assert "Problem" in document["components"]["schemas"]
    assert all("summary" in operation for path in document["paths"].values() for operation in path.values())
