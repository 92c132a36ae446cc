"""The commands that talk to a server, against a real one in this process: what they send, show, and say when it refuses or is away."""

import json
import socket
import threading
import time

import pytest
import uvicorn

from services import cli
from services.app import add_request_guard
from services.server.auth import add_token
from tests.services.conftest import SWEEP


@pytest.fixture
def served(serve_api, application, monkeypatch):
    """The application on a free port; the commands know where."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve_api()
    settings = application.state.services.settings.model_copy(update={"allowed_hosts": (f"127.0.0.1:{port}",)})
    server = uvicorn.Server(uvicorn.Config(add_request_guard(application, settings), port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    monkeypatch.setenv("LORETTA_SERVER", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("LORETTA_TOKEN", raising=False)
    yield
    server.should_exit = True
    thread.join(10)


def test_a_job_from_submit_to_stop(served, tmp_path, capsys):
    sweep = tmp_path / "small.toml"
    sweep.write_text(SWEEP.replace('name = "small"\n', ""))  # called by its file
    assert cli.main(["submit", str(sweep), "--json"]) == 0
    job = json.loads(capsys.readouterr().out)["submission_id"]
    assert job.startswith("small-")
    assert cli.main(["submit", str(sweep)]) == 0
    assert capsys.readouterr().out.startswith(f"running already: {job}")
    assert cli.main(["status", job]) == 0
    assert "2 of 2 finished, 0 failed, 0 running" in capsys.readouterr().out
    assert cli.main(["logs", job]) == 0
    assert capsys.readouterr().out == f"log of {job}\n"
    assert cli.main(["logs", job, "--json"]) == 0
    assert "".join(json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()) == f"log of {job}\n"
    assert cli.main(["stop", job]) == 0
    assert "stopped" in capsys.readouterr().out
    assert cli.main(["logs", job, "--follow"]) == 0
    assert cli.main(["status"]) == 0
    assert job in capsys.readouterr().out


def test_a_token_is_asked_for_and_sent(served, results, monkeypatch, capsys):
    token = add_token(results / "tokens.json", name="ada", role="read")
    assert cli.main(["status"]) == 2
    assert "put yours into LORETTA_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("LORETTA_TOKEN", token)
    assert cli.main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert cli.main(["stop", "none"]) == 2
    assert "has the role 'read'" in capsys.readouterr().err


def test_a_server_that_is_away_and_an_address_that_is_none(monkeypatch, capsys, sweep_file):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("LORETTA_SERVER", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert cli.main(["status"]) == 1
    assert "no server answers at" in capsys.readouterr().err
    monkeypatch.setenv("LORETTA_SERVER", "file:///etc/passwd")
    assert cli.main(["submit", str(sweep_file)]) == 2
    assert "expected an address such as" in capsys.readouterr().err
