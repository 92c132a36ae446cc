"""Tokens: a digest at rest, a file that only its user reads, roles that include each other; a removed token opens nothing."""

import json
import stat

import pytest

from loretta_core.errors import ConfigError
from services import cli
from services.server.auth import LOCAL_ADMIN, Caller, Tokens, add_token, read_tokens, remove_token, tokens_path


def test_the_token_itself_is_not_kept(tmp_path):
    path = tmp_path / "tokens.json"
    token = add_token(path, name="ada", role="submit")
    assert token.startswith("lor_")
    assert len(token) > 40
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_tokens(path).authenticate(token) == Caller("ada", "submit")
    assert read_tokens(path).authenticate(token[:-1]) is None
    assert read_tokens(path).authenticate("") is None


def test_a_name_has_one_token(tmp_path):
    path = tmp_path / "tokens.json"
    old, new = add_token(path, name="ada", role="read"), add_token(path, name="ada", role="admin")
    assert read_tokens(path).authenticate(old) is None
    assert read_tokens(path).authenticate(new) == Caller("ada", "admin")


def test_after_the_last_token_nobody_gets_in(tmp_path):
    path = tmp_path / "tokens.json"
    token = add_token(path, name="ada", role="admin")
    remove_token(path, name="ada")
    assert read_tokens(path).required
    assert read_tokens(path).authenticate(token) is None
    with pytest.raises(ConfigError, match="no token named 'ada'"):
        remove_token(path, name="ada")


def test_without_a_file_everybody_is_the_local_user(tmp_path):
    assert read_tokens(tmp_path / "none.json").authenticate("") == LOCAL_ADMIN
    assert Tokens(required=True).authenticate("") is None


@pytest.mark.parametrize(
    ("content", "mode", "expected"), [("[]", 0o644, "other users can read it"), ("{", 0o600, "not a list of tokens"), ('[{"name": "a"}]', 0o600, "not a list")]
)
def test_a_file_that_cannot_be_trusted_is_refused(content, mode, expected, tmp_path):
    path = tmp_path / "tokens.json"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=expected):
        read_tokens(path)


def test_roles_include_the_ones_below():
    assert [[Caller("x", role).has_role(needed) for needed in ("read", "submit", "admin")] for role in ("read", "submit", "admin")] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


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
