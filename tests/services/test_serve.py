"""`loretta serve`: the real server on a free port, and what it refuses."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from loretta_core.errors import ConfigError
from services.settings import is_loopback, server_settings
from services.tracking import Stopped, _stop_signals, command, server_environment


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
        server_settings(host=host, port=0, out=tmp_path / "out", environment={})


def test_a_missing_authentication_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"MLFLOW_AUTH_CONFIG_PATH.*no such file"):
        server_settings(host="127.0.0.1", port=0, out=tmp_path / "out", environment={"MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "none.ini")})


def test_authentication_switches_the_app_on(tmp_path, monkeypatch):
    monkeypatch.setattr("services.settings.find_spec", lambda name: object())
    settings = server_settings(
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
            server_settings(host="127.0.0.1", port=taken.getsockname()[1], out=tmp_path / "out", environment={})


def test_an_impossible_port_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot listen there"):
        server_settings(host="127.0.0.1", port=70_000, out=tmp_path / "out", environment={})


def test_telemetry_is_off_whatever_the_environment_says():
    environment = server_environment({"MLFLOW_DISABLE_TELEMETRY": "false", "MLFLOW_FLASK_SERVER_SECRET_KEY": "mine"})
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["MLFLOW_FLASK_SERVER_SECRET_KEY"] == "mine"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_stop_once_and_are_given_back(number):
    before = signal.getsignal(number)
    with pytest.raises(Stopped), _stop_signals():  # noqa: PT012
        os.kill(os.getpid(), number)
        pytest.fail("the signal did not arrive")
    assert signal.getsignal(number) == before


@pytest.mark.integration
def test_the_server_runs_and_stops_without_leaving_a_process(tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "serve", "--port", "0", "--out", str(out)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.split("MLflow UI: ")[1].split()[0]
        assert urllib.request.urlopen(f"{url}/health", timeout=10).read() == b"OK"
        assert (out / "mlflow.db").is_file()
        foreign = urllib.request.Request(f"{url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default", headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(foreign, timeout=10)
        group = _children(process.pid)
        assert group
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert not [pid for pid in group if _alive(pid)]
    finally:
        process.terminate()  # ends the server too; after a success there is nothing left to end
        process.wait(timeout=30)
        process.stdout.close()


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
