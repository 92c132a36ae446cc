"""Settings of the two servers: what is refused before anything starts, and how they are passed on."""

import socket

import pytest

from loretta_core.errors import ConfigError
from services.server.auth import add_token
from services.server.settings import ApiSettings, api_settings, mlflow_settings


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3"])
def test_other_machines_need_authentication(host, tmp_path):
    with pytest.raises(ConfigError, match="lets other machines reach MLflow"):
        mlflow_settings(host=host, port=0, out=tmp_path / "out", environment={})


def test_a_missing_authentication_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"MLFLOW_AUTH_CONFIG_PATH.*no such file"):
        mlflow_settings(host="127.0.0.1", port=0, out=tmp_path / "out", environment={"MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "none.ini")})


def test_a_port_in_use_is_refused(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="cannot listen there"):
            mlflow_settings(host="127.0.0.1", port=taken.getsockname()[1], out=tmp_path / "out", environment={})


def test_an_impossible_port_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot listen there"):
        mlflow_settings(host="127.0.0.1", port=70_000, out=tmp_path / "out", environment={})


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3"])
def test_other_machines_need_a_token(host, tmp_path):
    with pytest.raises(ConfigError, match="loretta token"):
        api_settings(host=host, port=0, out=tmp_path / "out", environment={})
    add_token(tmp_path / "out" / "tokens.json", name="ada", role="admin")
    if host == "0.0.0.0":
        settings = api_settings(host=host, port=0, out=tmp_path / "out", environment={})
        assert settings.tokens_required
        assert f"{socket.gethostname()}:{settings.port}" in settings.allowed_hosts


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LORETTA_ALLOWED_ROOTS": "data"}, "not an absolute path"),
        ({"LORETTA_ALLOWED_ROOTS": "/no/such/directory"}, "not an absolute path"),
        ({"LORETTA_MAX_CELLS": "many"}, "expected a number from 1"),
        ({"LORETTA_RATE_LIMIT": "0"}, "expected a number from 1"),
    ],
)
def test_settings_that_are_wrong_are_named(environment, expected, tmp_path):
    with pytest.raises(ConfigError, match=expected):
        api_settings(host="127.0.0.1", port=0, out=tmp_path / "out", environment=environment)


def test_the_settings_travel_without_secrets(tmp_path):
    settings = api_settings(host="127.0.0.1", port=0, out=tmp_path / "out", environment={"RAY_AUTH_TOKEN": "secret", "LORETTA_STORE": "secret"})
    text = settings.model_dump_json()
    assert "secret" not in text
    assert ApiSettings.model_validate_json(text) == settings
