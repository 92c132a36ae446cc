"""`loretta serve` with real servers on free ports: they start and stop together, and refuse callers without a token."""

import base64
import os
import signal
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from loretta_core.store.output_dir import check_output_dir
from services.server.auth import add_token
from tests.services.serving import child_processes, is_alive, serving


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
        group = child_processes(process.pid)
        assert len(group) >= 2
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert not [pid for pid in group if is_alive(pid)]


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
        for pid in [process.pid, *child_processes(process.pid)]:
            assert "a long pass phrase" not in Path(f"/proc/{pid}/cmdline").read_text()
    assert (out / "mlflow-users.db").is_file()
    assert not any("a long pass phrase" in log.read_text() for log in [*out.glob("*.log"), out / "mlflow-auth.ini"])


def basic(pair):
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["services.app", "mlflow"])
def test_when_one_is_killed_the_other_is_ended_and_the_command_says_so(victim, tmp_path):
    with serving(tmp_path / "out") as (process, _):
        group = child_processes(process.pid)
        target = next(pid for pid in group if victim in Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(target, signal.SIGKILL)
        assert process.wait(timeout=60) == 1
        assert not [pid for pid in group if is_alive(pid)]
