"""`loretta serve`: the real server on a free port, and what it refuses."""

import base64
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from loretta_core.errors import ConfigError
from loretta_core.store.records import check_output_dir
from services.server.addresses import is_loopback
from services.server.auth import add_token
from services.server.mlflow_server import command, server_environment
from services.server.processes import StopRequested, stop_signals
from services.server.settings import ApiSettings, api_settings, mlflow_settings
from tests.paths import ROOT


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.8.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.4", False),
        ("example.org", False),
    ],
)
def test_loopback(host, loopback):
    assert is_loopback(host) == loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3"])
def test_other_machines_need_authentication(host, tmp_path):
    with pytest.raises(ConfigError, match="lets other machines reach MLflow"):
        mlflow_settings(host=host, port=0, out=tmp_path / "out", environment={})


def test_a_missing_authentication_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"MLFLOW_AUTH_CONFIG_PATH.*no such file"):
        mlflow_settings(host="127.0.0.1", port=0, out=tmp_path / "out", environment={"MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "none.ini")})


def test_authentication_switches_the_app_on(tmp_path):
    settings = mlflow_settings(
        host="0.0.0.0", port=0, out=tmp_path / "out", environment={"MLFLOW_AUTH_ADMIN_PASSWORD": "x", "LORETTA_ALLOWED_HOSTS": "lab.example, "}
    )
    assert command(settings)[-2:] == ["--app-name", "basic-auth"]
    assert "lab.example" in settings.allowed_hosts
    assert settings.url.startswith("http://127.0.0.1:")


def test_a_port_in_use_is_refused(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="cannot listen there"):
            mlflow_settings(host="127.0.0.1", port=taken.getsockname()[1], out=tmp_path / "out", environment={})


def test_an_impossible_port_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot listen there"):
        mlflow_settings(host="127.0.0.1", port=70_000, out=tmp_path / "out", environment={})


def test_telemetry_is_off_whatever_the_environment_says(tmp_path):
    environment = server_environment({"MLFLOW_DISABLE_TELEMETRY": "false", "MLFLOW_FLASK_SERVER_SECRET_KEY": "mine"}, tracking(tmp_path))
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["MLFLOW_FLASK_SERVER_SECRET_KEY"] == "mine"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_stop_once_and_are_given_back(number):
    before = signal.getsignal(number)
    with pytest.raises(StopRequested), stop_signals():  # noqa: PT012
        os.kill(os.getpid(), number)
        pytest.fail("the signal did not arrive")
    assert signal.getsignal(number) == before


def test_a_password_is_neither_in_the_command_line_nor_in_a_message(tmp_path):
    url = "postgresql://mlflow:secret@db.example/mlflow"
    settings = tracking(tmp_path, environment={"LORETTA_STORE": url})
    assert "secret" not in " ".join(command(settings))
    assert server_environment({}, settings)["MLFLOW_BACKEND_STORE_URI"] == url.replace("postgresql:", "postgresql+psycopg2:")
    with pytest.raises(ConfigError, match="expected postgresql") as error:
        tracking(tmp_path, store="mysql://root:secret@db.example/mlflow")
    assert "secret" not in str(error.value)


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


def tracking(tmp_path, **changes):
    return mlflow_settings(host="127.0.0.1", port=0, out=tmp_path / "out", **{"environment": {}, **changes})


@contextmanager
def serving(out, *arguments, environment=None):
    """`loretta serve` on free ports; gives the process and its first lines."""
    command = [sys.executable, "-m", "services.cli", "serve", "--port", "0", "--mlflow-port", "0", "--out", str(out), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **(environment or {})})
    try:
        assert process.stdout is not None
        yield process, [process.stdout.readline() for _ in range(2)]
    finally:
        process.terminate()  # ends the servers too; after a success there is nothing left to end
        process.wait(timeout=30)
        process.stdout.close()


def get(url, **headers):
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10)


@pytest.mark.integration
def test_both_servers_run_and_stop_without_leaving_a_process(tmp_path):
    out = tmp_path / "out"
    with serving(out) as (process, lines):
        sweeps, mlflow = lines[0].split("Sweeps: ")[1].split()[0], lines[1].split("MLflow UI: ")[1].split()[0]
        assert get(f"{mlflow}/health").read() == b"OK"
        assert b"No sweep was started" in get(sweeps).read()
        with sqlite3.connect(out / "mlflow.db") as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        for url in (f"{mlflow}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default", f"{sweeps}/api/v1/sweeps"):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                get(url, Host="evil.example")
        group = _children(process.pid)
        assert len(group) >= 2
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert not [pid for pid in group if _alive(pid)]


@pytest.mark.slow
def test_off_this_machine_nobody_gets_in_without_a_token_and_a_password(tmp_path):
    out, query = tmp_path / "out", "api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
    check_output_dir(out)
    token = add_token(out / "tokens.json", name="ada", role="read")
    secrets = {"MLFLOW_AUTH_ADMIN_USERNAME": "root", "MLFLOW_AUTH_ADMIN_PASSWORD": "a long pass phrase"}
    with serving(out, "--host", "0.0.0.0", environment=secrets) as (process, lines):
        assert "a token is needed" in lines[0]
        sweeps, mlflow = lines[0].split("Sweeps: ")[1].split()[0], lines[1].split("MLflow UI: ")[1].split()[0]
        for url in (f"{sweeps}/api/v1/sweeps", f"{mlflow}/{query}"):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                get(url)
        for pair in ("admin:password1234", "root:password1234", "root:"):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                get(f"{mlflow}/{query}", Authorization=basic(pair))
        assert get(f"{sweeps}/api/v1/sweeps", Authorization=f"Bearer {token}").status == 200
        assert get(f"{mlflow}/{query}", Authorization=basic("root:a long pass phrase")).status == 200
        for pid in [process.pid, *_children(process.pid)]:
            assert "a long pass phrase" not in Path(f"/proc/{pid}/cmdline").read_text()
    assert (out / "mlflow-users.db").is_file()
    assert not any("a long pass phrase" in log.read_text() for log in [*out.glob("*.log"), out / "mlflow-auth.ini"])


def basic(pair):
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["services.app", "mlflow"])
def test_when_one_is_killed_the_other_is_ended_and_the_command_says_so(victim, tmp_path):
    with serving(tmp_path / "out") as (process, _):
        group = _children(process.pid)
        target = next(pid for pid in group if victim in Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(target, signal.SIGKILL)
        assert process.wait(timeout=60) == 1
        assert not [pid for pid in group if _alive(pid)]


def _children(pid):
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *_children(int(child))]
    return found


def _alive(pid):
    for _ in range(20):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True
