"""Addresses of Ray's job API: which are refused, and why."""

import pytest

from loretta_core.errors import ConfigError
from services.queries.ray_jobs import NoRay, jobs_client


@pytest.mark.parametrize("address", ["127.0.0.1:8265", "ray://127.0.0.1:10001", "http://user:secret@127.0.0.1:8265", "http://127.0.0.1:8265/x", "file:///x"])
def test_an_address_that_is_no_dashboard_is_refused(address):
    with pytest.raises(ConfigError, match="expected the address of Ray's dashboard"):
        jobs_client(address, environment={})


def test_another_machine_without_rays_token_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="CVE-2023-48022"):
        jobs_client("http://10.0.0.1:8265", environment={})
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600") as error:
        jobs_client("http://10.0.0.1:8265", environment={"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)})
    assert "secret" not in str(error.value)
    assert isinstance(jobs_client("", environment={}), NoRay)
