"""The application as a whole: its OpenAPI document."""

from tests.services.conftest import SWEEP

BODY = {"toml": SWEEP}


def test_the_document_describes_every_route(api):
    document = api.get("/api/v1/openapi.json").json()
    assert document["paths"]["/api/v1/jobs"].keys() == {"get", "post"}
    assert "Problem" in document["components"]["schemas"]
    assert all("summary" in operation for path in document["paths"].values() for operation in path.values())
