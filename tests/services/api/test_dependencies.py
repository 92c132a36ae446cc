"""Authentication and roles: which caller may use which route."""

from services.server.auth import add_token
from tests.services.conftest import SWEEP

BODY = {"toml": SWEEP}


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
