"""Tokens: only digests are stored, other users cannot read the file, roles include lower ones, a revoked token is refused."""

import stat

import pytest

from loretta_core.errors import ConfigError
from services.server.auth import LOCAL_ADMIN, Caller, Tokens, add_token, read_tokens, remove_token


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
