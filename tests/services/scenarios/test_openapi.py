"""The OpenAPI document is what the server does: Schemathesis makes requests from it, good and bad ones, and checks every answer against it."""

import pytest
from hypothesis import HealthCheck, given, settings
from starlette.testclient import TestClient

from services.server.auth import add_token

schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis")

pytestmark = pytest.mark.slow

EXAMPLES = 60


def test_answers_are_as_described(serve_api, results):
    token = add_token(results / "tokens.json", name="fuzz", role="admin")  # with tokens, so that answers without one are looked at too
    client: TestClient = serve_api(requests_per_s=1e6)
    schema = schemathesis.openapi.from_dict(client.get("/api/v1/openapi.json").json())
    schema.app = client.app
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 13
    for operation in operations:
        _check(operation, headers={"Authorization": f"Bearer {token}", "Host": "127.0.0.1:8000"})


def _check(operation, *, headers):
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy())
    def answers(case):
        # A text can be a string and no sweep: refusing it is right.
        case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

    answers()
