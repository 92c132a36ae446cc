"""`loretta token`: make and revoke the tokens of a server."""

from __future__ import annotations

import sys
from pathlib import Path

from loretta_core.store.output_dir import check_output_dir
from services.commands.output import to_json
from services.server.auth import Role, add_token, remove_token, tokens_path


def make_token(name: str, *, role: Role, out: Path, as_json: bool) -> None:
    """Make a token and print it on stdout, with a note on stderr."""
    check_output_dir(out)
    token = add_token(tokens_path(out), name=name, role=role)
    print(to_json({"name": name, "role": role, "token": token}) if as_json else token)
    print(f"{name} may {role}; give it as LORETTA_TOKEN, or sign in on the page. It is not shown again.", file=sys.stderr)


def revoke_token(name: str, *, out: Path, as_json: bool) -> None:
    """Remove the token of a name."""
    check_output_dir(out)
    remove_token(tokens_path(out), name=name)
    if as_json:
        print(to_json({"name": name, "removed": True}))
