"""`loretta token`: make, show once, remove."""

import json

from services import cli
from services.server.auth import Caller, read_tokens, tokens_path


def test_the_command_shows_a_token_once(results, capsys):
    assert cli.main(["token", "ada", "--role", "submit", "--out", str(results)]) == 0
    token = capsys.readouterr().out.splitlines()[0]
    assert read_tokens(tokens_path(results)).authenticate(token) == Caller("ada", "submit")
    assert [entry["name"] for entry in json.loads(tokens_path(results).read_text())] == ["ada"]
    assert cli.main(["token", "ada", "--remove", "--out", str(results)]) == 0
    assert read_tokens(tokens_path(results)).authenticate(token) is None
    assert cli.main(["token", "ada", "--json", "--out", str(results)]) == 0
    made = json.loads(capsys.readouterr().out)
    assert read_tokens(tokens_path(results)).authenticate(made["token"]) == Caller(made["name"], made["role"]) == Caller("ada", "read")
    assert cli.main(["token", "../x", "--out", str(results)]) == 2
    assert "expected letters" in capsys.readouterr().err
