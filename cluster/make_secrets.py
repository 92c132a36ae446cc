"""Make random secrets for a deployment, one file each: `python cluster/make_secrets.py docker/secrets`.

docker/compose.yaml mounts these files one by one; `kubectl create secret generic loretta --from-file=DIR` makes a Secret of them. The directory is for its user
alone (mode 0700). The files in it are readable by all (0444), because a container's user, which has another number than ours, must be able to read what is
mounted. What exists is kept: a second call adds what is missing and changes no password that a database already knows.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from loretta_core.errors import ConfigError
from services.server.auth import add_token

ADMIN = "admin"


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python cluster/make_secrets.py DIRECTORY", file=sys.stderr)
        return 2
    try:
        made = make(Path(arguments[0]))
    except (ConfigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{arguments[0]}: {', '.join(made) or 'nothing'} made. The token for the API is in api_token, MLflow's login in mlflow_auth.ini")
    return 0


def make(directory: Path) -> list[str]:
    """Write the secrets that are missing and return their names. Raise ConfigError for a directory that other users can enter."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_mode & 0o077:
        raise ConfigError(f"{directory}: other users can enter it; chmod 700 {directory}")
    missing = [name for name in (*RANDOM, *DERIVED, "tokens.json") if not (directory / name).exists()]
    for name in (name for name in RANDOM if name in missing):
        _write(directory / name, secrets.token_hex(32))
    known = {name: (directory / name).read_text(encoding="utf-8") for name in RANDOM}
    for name in (name for name in DERIVED if name in missing):
        _write(directory / name, DERIVED[name](known))
    if "tokens.json" in missing:
        _make_api_token(directory)
    return missing


RANDOM = ("ray_token", "postgres_password", "s3_password", "mlflow_password", "grafana_password")

DERIVED: Mapping[str, Callable[[Mapping[str, str]], str]] = {
    "pgpass": lambda known: f"postgres:5432:*:mlflow:{known['postgres_password']}\n",
    "s3_credentials": lambda known: f"[default]\naws_access_key_id = loretta\naws_secret_access_key = {known['s3_password']}\n",
    # The server's side of MLflow's login, and the jobs'.
    "mlflow_auth.ini": lambda known: (
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = postgresql+psycopg2://mlflow@postgres:5432/mlflow\nadmin_username = {ADMIN}\n"
        f"admin_password = {known['mlflow_password']}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    ),
    "mlflow_credentials": lambda known: f"[mlflow]\nmlflow_tracking_username = {ADMIN}\nmlflow_tracking_password = {known['mlflow_password']}\n",
}
"""Functions that make the content of a file from the random secrets, in the formats of libpq, boto3 and MLflow."""


def _make_api_token(directory: Path) -> None:
    """Write a token for people to api_token, which is mounted nowhere, and its digest to tokens.json, which the server reads."""
    with tempfile.TemporaryDirectory() as scratch:
        tokens = Path(scratch) / "tokens.json"
        token = add_token(tokens, name=ADMIN, role="admin")
        _write(directory / "api_token", token)
        _write(directory / "tokens.json", tokens.read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o444)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
