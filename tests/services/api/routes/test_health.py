"""The health check."""


def test_health_says_nothing_but_that_it_is_there(serve_api):
    answer = serve_api(tokens_required=True).get("/api/v1/health")
    assert answer.status_code == 200
    assert answer.json().keys() == {"status", "version"}
