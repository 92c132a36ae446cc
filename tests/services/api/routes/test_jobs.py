"""Submitting jobs through the API."""

from services.app import make_services
from services.queries.ray_jobs import NoRay
from tests.services.conftest import SWEEP

BODY = {"toml": SWEEP}


def test_without_a_cluster_submitting_says_what_is_missing(api, application):
    services = application.state.services
    application.state.services = make_services(services.settings, client=NoRay())
    answer = api.post("/api/v1/jobs", json=BODY)
    assert answer.status_code == 503
    assert "loretta serve --ray" in answer.json()["detail"]
