"""What a server of ours needs to know, from the command line and the environment, checked before anything starts.

Environment:
- LORETTA_ALLOWED_HOSTS: further names in the Host header, comma-separated (behind a proxy, on a cluster)
- LORETTA_ALLOWED_ROOTS: directories below which submitted sweeps may name models and data, separated by colons; none by default
- LORETTA_ALLOW_REMOTE_CODE=1: submitted sweeps may set model.trust_remote_code
- LORETTA_MAX_CELLS: largest sweep that is taken (10000)
- LORETTA_RATE_LIMIT: requests per second that one client may make in the long run (100)
- LORETTA_PIN_VERSIONS=1: jobs install this server's package versions (their nodes need a package index); else the cluster's image has them
- LORETTA_STORE: URL of MLflow's database, postgresql://USER:PASSWORD@HOST/DATABASE; an argument would show the password to every user of the machine
- LORETTA_TOKENS: file with the digests of tokens (OUT/tokens.json)
- RAY_API_SERVER_ADDRESS: the Ray dashboard that sweeps are submitted to, unless --ray says so; RAY_AUTH_MODE, RAY_AUTH_TOKEN_PATH: its token
- MLFLOW_AUTH_ADMIN_USERNAME, MLFLOW_AUTH_ADMIN_PASSWORD: switch MLflow's authentication on; needed off this machine
- MLFLOW_AUTH_CONFIG_PATH: the same from an .ini file
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from getpass import getuser
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from loretta_core.errors import ConfigError
from loretta_core.store.output_dir import check_output_dir
from services.server.auth import read_tokens, tokens_path
from services.server.submission_policy import Policy

SETTINGS_VARIABLE = "LORETTA_API_SETTINGS"
"""How the settings reach the process that serves API and pages: JSON in the environment."""


class ServerSettings(BaseModel):
    """A tracking server, decided."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    out: Path
    """Output directory, absolute: MLflow reads relative paths from its own place."""
    host: str
    port: int
    """Free when the settings were made."""
    allowed_hosts: tuple[str, ...]
    """Host headers that are answered; any other gets 403, which stops DNS rebinding."""
    authenticated: bool
    """Ask for user and password."""
    store: str = ""
    """URL of the database; empty for SQLite in `out`. May hold a password: it travels in the environment and is never printed."""
    artifacts: str = ""
    """URI of the artifact store; empty for a directory in `out`."""

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        return _url(self.host, self.port)

    @property
    def public_url(self) -> str:
        """Where other machines find it, if they can."""
        return _url(socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host, self.port)


class ApiSettings(BaseModel):
    """The API and its pages, decided. Holds no secret: it travels in an environment variable."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    out: Path
    host: str = "127.0.0.1"
    port: int
    allowed_hosts: tuple[str, ...]
    tokens: Path
    """File of token digests; it may change while the server runs."""
    tokens_required: bool = False
    """Nobody gets in without a token, even if the file disappears."""
    policy: Policy = Policy()
    ray: str = ""
    """Address of Ray's dashboard; empty: sweeps are shown and not submitted."""
    mlflow_url: str = ""
    """Where links into MLflow point."""
    tracking_uri: str = ""
    """MLflow for jobs; empty for SQLite in `out`."""
    pin: bool = False
    rate: float = Field(100.0, gt=0)
    """Requests per second of one client, in the long run."""

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        return _url(self.host, self.port)


def api_settings(
    *, host: str, port: int, out: Path, ray: str = "", mlflow_url: str = "", tracking_uri: str = "", environment: Mapping[str, str] = os.environ
) -> ApiSettings:
    """Check and decide. Raises ConfigError: a host others can reach without tokens, a port that is taken, a setting that is not what it should be."""
    check_output_dir(out)
    tokens = tokens_path(out, environment=environment)
    known = read_tokens(tokens)
    if not is_loopback(host) and not known.entries:
        raise ConfigError(
            f"--host {host} lets other machines start sweeps here. Make a token first, e.g. loretta token {getuser()} --role admin --out {out}, or keep the "
            f"default 127.0.0.1 and forward the port (ssh -L {port}:127.0.0.1:{port} THIS_MACHINE)"
        )
    chosen = _free_port(host, port)
    return ApiSettings(
        out=out.resolve(),
        host=host,
        port=chosen,
        allowed_hosts=_allowed_hosts(host, chosen, environment=environment),
        tokens=tokens.resolve(),
        tokens_required=known.required,
        policy=_policy(environment),
        ray=ray or environment.get("RAY_API_SERVER_ADDRESS", ""),
        mlflow_url=mlflow_url,
        tracking_uri=tracking_uri,
        pin=environment.get("LORETTA_PIN_VERSIONS", "") == "1",
        rate=_number(environment, "LORETTA_RATE_LIMIT", 100),
    )


def server_settings(*, host: str, port: int, out: Path, store: str = "", artifacts: str = "", environment: Mapping[str, str] = os.environ) -> ServerSettings:
    """Check and decide. Raises ConfigError: output directory not ours, port taken, a host others can reach without authentication, another kind of store."""
    check_output_dir(out)
    store = store or environment.get("LORETTA_STORE", "")
    if store and not store.startswith(("postgresql://", "postgresql+psycopg2://")):
        raise ConfigError(
            f"--store {store.split('://')[0]}://…: expected postgresql://USER@HOST/DATABASE (the password in LORETTA_STORE or ~/.pgpass), or none for SQLite"
        )
    authenticated = _authentication(environment)
    if not is_loopback(host) and not authenticated:
        raise ConfigError(
            f"--host {host} lets other machines reach MLflow, which would give anyone there every run and the right to delete it. Either keep the default "
            f"127.0.0.1 and forward the port (ssh -L {port}:127.0.0.1:{port} THIS_MACHINE), or switch authentication on: set "
            "MLFLOW_AUTH_ADMIN_USERNAME and MLFLOW_AUTH_ADMIN_PASSWORD (or MLFLOW_AUTH_CONFIG_PATH)"
        )
    chosen = _free_port(host, port)
    return ServerSettings(
        out=out.resolve(),
        host=host,
        port=chosen,
        allowed_hosts=_allowed_hosts(host, chosen, environment=environment),
        authenticated=authenticated,
        store=store.replace("postgresql://", "postgresql+psycopg2://", 1),  # the driver that we install; SQLAlchemy's default is another one since 2.1
        artifacts=artifacts,
    )


def _policy(environment: Mapping[str, str]) -> Policy:
    roots = tuple(Path(part) for part in environment.get("LORETTA_ALLOWED_ROOTS", "").split(":") if part)
    for root in roots:
        if not root.is_absolute() or not root.is_dir():
            raise ConfigError(f"LORETTA_ALLOWED_ROOTS: {str(root)!r} is not an absolute path of a directory")
    limit = int(_number(environment, "LORETTA_MAX_CELLS", 10_000))
    return Policy(roots=roots, trust_remote_code=environment.get("LORETTA_ALLOW_REMOTE_CODE", "") == "1", max_cells=limit)


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    given = environment.get(name, "")
    try:
        value = float(given or default)
    except ValueError:
        value = 0.0
    if not 1 <= value < float("inf"):
        raise ConfigError(f"{name} = {given!r}: expected a number from 1")
    return value


def _url(host: str, port: int) -> str:
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name: it may resolve to anything
        return False


def _authentication(environment: Mapping[str, str]) -> bool:
    path = environment.get("MLFLOW_AUTH_CONFIG_PATH")
    if path and not Path(path).is_file():
        raise ConfigError(f"MLFLOW_AUTH_CONFIG_PATH = {path!r}: no such file")
    return bool(path or environment.get("MLFLOW_AUTH_ADMIN_PASSWORD"))


def _allowed_hosts(host: str, port: int, *, environment: Mapping[str, str]) -> tuple[str, ...]:
    names = ["localhost", "127.0.0.1", "[::1]"]
    if not is_loopback(host):
        names += [socket.gethostname(), *([] if host in ("0.0.0.0", "::") else [host])]
    further = [name.strip() for name in environment.get("LORETTA_ALLOWED_HOSTS", "").split(",") if name.strip()]
    return tuple(dict.fromkeys([*(f"{name}:{port}" for name in names), *further]))


def _free_port(host: str, port: int) -> int:
    """`port`, or any free one for 0. Raises ConfigError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))
            return probe.getsockname()[1]
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"--host {host} --port {port}: cannot listen there ({reason}); give another one, or --port 0 for any free one") from None
