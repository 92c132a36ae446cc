"""The request guard: security headers on every response; foreign hosts and origins, large bodies and too many requests are refused."""

from services.api.request_guard import MAX_BODY_BYTES, SECURITY_HEADERS, RateLimiter
from tests.services.conftest import SWEEP

BODY = {"toml": SWEEP}


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
