"""The form that plans and submits a sweep."""

from tests.services.conftest import SWEEP


def test_a_mistake_is_shown_beside_what_was_typed(api):
    page = api.post("/submit", data={"toml": SWEEP.replace('"lora"', '"lorra"'), "action": "plan"})
    assert page.status_code == 422
    assert "Did you mean &#39;lora&#39;?" in page.text
    assert "&#34;lorra&#34;" in page.text
