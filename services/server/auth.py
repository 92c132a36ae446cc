"""Access tokens with a role, kept as digests in OUT/tokens.json (mode 0600).

    read      see sweeps, cells and jobs
    submit    also start sweeps and stop one's own
    admin     also stop the sweeps of others

A token is 256 random bits, so a plain sha256 of it cannot be inverted by guessing; only passwords, which there are none of, would need a slow hash. Without
tokens every caller is admin, so the server then listens on this machine only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loretta_core.errors import ConfigError

Role = Literal["read", "submit", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
PREFIX = "lor_"
"""Prefix of every token, so that scanners for leaked secrets can recognise one."""


@dataclass(frozen=True)
class Caller:
    """An authenticated client: the name and the role of its token."""

    name: str
    role: Role

    def has_role(self, needed: Role) -> bool:
        """Return whether the caller has a role, which includes the ones below it."""
        return ROLES.index(self.role) >= ROLES.index(needed)


LOCAL_ADMIN = Caller("local", "admin")
"""The caller of every request to a server without tokens."""


class Token(BaseModel):
    """A token as it is stored: its digest, never the token itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")
    role: Role
    sha256: str


@dataclass(frozen=True)
class Tokens:
    """The tokens of a server."""

    entries: tuple[Token, ...] = ()
    required: bool = False
    """Callers must present a token: True once a file exists, so a file whose last token was removed admits no caller."""

    def authenticate(self, token: str) -> Caller | None:
        """Return the caller a token belongs to, None for an unknown one. Takes the same time for every wrong token."""
        if not self.required:
            return LOCAL_ADMIN
        digest, found = _digest(token), None
        for entry in self.entries:
            if hmac.compare_digest(entry.sha256, digest):
                found = Caller(entry.name, entry.role)
        return found


def read_tokens(path: Path) -> Tokens:
    """Return the tokens in a file, none when there is no file. Raise ConfigError when it is damaged or others can read it."""
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path}: other users can read it; chmod 600 {path}")
        return Tokens(tuple(Token.model_validate(entry) for entry in json.loads(path.read_text(encoding="utf-8"))), required=True)
    except FileNotFoundError:
        return Tokens()
    except (json.JSONDecodeError, ValidationError, TypeError):
        raise ConfigError(f"{path}: not a list of tokens; delete it and make new ones with `loretta token NAME --role submit`") from None


def add_token(path: Path, *, name: str, role: Role) -> str:
    """Make a token, store its digest and return it; a token of the same name is replaced. Raise ConfigError for an unusable name."""
    token = PREFIX + secrets.token_urlsafe(32)
    try:
        new = Token(name=name, role=role, sha256=_digest(token))
    except ValidationError:
        raise ConfigError(f"token name {name!r}: expected letters, digits, and _ . @ - between them, at most 64") from None
    _write(path, (*(entry for entry in read_tokens(path).entries if entry.name != name), new))
    return token


def remove_token(path: Path, *, name: str) -> None:
    """Revoke a token. Raise ConfigError when there is none of that name."""
    entries = read_tokens(path).entries
    kept = tuple(entry for entry in entries if entry.name != name)
    if len(kept) == len(entries):
        raise ConfigError(f"no token named {name!r} in {path}; there are: {', '.join(entry.name for entry in entries) or 'none'}")
    _write(path, kept)


def tokens_path(out: Path, *, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the file of token digests: LORETTA_TOKENS, else tokens.json in the output directory."""
    return Path(environment.get("LORETTA_TOKENS") or out / "tokens.json")


def _write(path: Path, entries: tuple[Token, ...]) -> None:
    """Write the digests atomically; other users cannot read the file at any moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump([entry.model_dump() for entry in entries], file, indent=1)
    temporary.replace(path)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
