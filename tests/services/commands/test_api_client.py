"""The client of the API: the token is sent, and a refusal or a missing server gives one message."""

import json
import socket

from services import cli
from services.server.auth import add_token


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
