"""The command line and the environment of the MLflow server: login, telemetry, secrets."""

import pytest

from loretta_core.errors import ConfigError
from services.server.mlflow_server import command, server_environment
from services.server.settings import mlflow_settings


def settings_of(tmp_path, *, environment=None, **changes):
    return mlflow_settings(host="127.0.0.1", port=0, out=tmp_path / "out", environment=environment or {}, **changes)


def test_authentication_switches_the_app_on(tmp_path):
    settings = mlflow_settings(
        host="0.0.0.0", port=0, out=tmp_path / "out", environment={"MLFLOW_AUTH_ADMIN_PASSWORD": "x", "LORETTA_ALLOWED_HOSTS": "lab.example, "}
    )
    assert command(settings)[-2:] == ["--app-name", "basic-auth"]
    assert "lab.example" in settings.allowed_hosts
    assert settings.url.startswith("http://127.0.0.1:")


def test_telemetry_is_off_whatever_the_environment_says(tmp_path):
    environment = server_environment({"MLFLOW_DISABLE_TELEMETRY": "false", "MLFLOW_FLASK_SERVER_SECRET_KEY": "mine"}, settings_of(tmp_path))
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["MLFLOW_FLASK_SERVER_SECRET_KEY"] == "mine"


def test_a_password_is_neither_in_the_command_line_nor_in_a_message(tmp_path):
    url = "postgresql://mlflow:secret@db.example/mlflow"
    settings = settings_of(tmp_path, environment={"LORETTA_STORE": url})
    assert "secret" not in " ".join(command(settings))
    assert server_environment({}, settings)["MLFLOW_BACKEND_STORE_URI"] == url.replace("postgresql:", "postgresql+psycopg2:")
    with pytest.raises(ConfigError, match="expected postgresql") as error:
        settings_of(tmp_path, store="mysql://root:secret@db.example/mlflow")
    assert "secret" not in str(error.value)
