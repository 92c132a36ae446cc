"""Settings of the MLflow server and of the API server, from the command line and the environment, checked before either starts.

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

import os
from collections.abc import Mapping
from getpass import getuser
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from loretta_core.errors import ConfigError
from loretta_core.store.output_dir import check_output_dir
from services.server.addresses import allowed_hosts, free_port, is_loopback, local_url, public_url
from services.server.auth import read_tokens, tokens_path
from services.server.submission_policy import SubmissionPolicy

SETTINGS_VARIABLE = "LORETTA_API_SETTINGS"
"""Environment variable that carries ApiSettings as JSON to the process that serves API and pages."""


class MlflowSettings(BaseModel):
    """Checked settings of the MLflow server."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    out: Path
    """Output directory, absolute: MLflow would resolve a relative path against its own working directory."""
    host: str
    port: int
    """A port that was free when the settings were made."""
    allowed_hosts: tuple[str, ...]
    """Host headers that are answered; any other gets 403, which stops DNS rebinding."""
    authenticated: bool
    """Switch on MLflow's own login: user and password."""
    store: str = ""
    """URL of the database; empty for SQLite in `out`. May hold a password: it travels in the environment and is never printed."""
    artifacts: str = ""
    """URI of the artifact store; empty for a directory in `out`."""

    @property
    def url(self) -> str:
        """URL for a browser on this machine."""
        return local_url(self.host, self.port)

    @property
    def public_url(self) -> str:
        """URL for other machines."""
        return public_url(self.host, self.port)


class ApiSettings(BaseModel):
    """Checked settings of the API and the pages. Holds no secret: it is passed on in an environment variable."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    out: Path
    host: str = "127.0.0.1"
    port: int
    allowed_hosts: tuple[str, ...]
    tokens: Path
    """File of token digests; it may change while the server runs."""
    tokens_required: bool = False
    """Demand a token even if the file of digests disappears."""
    policy: SubmissionPolicy = SubmissionPolicy()
    ray: str = ""
    """Address of Ray's dashboard; empty: sweeps are shown and not submitted."""
    mlflow_url: str = ""
    """URL of the MLflow UI that pages link to."""
    tracking_uri: str = ""
    """Tracking URI that jobs log to; empty for SQLite in `out`."""
    pin_versions: bool = False
    """Install the package versions of this process in the environment of jobs."""
    requests_per_s: float = Field(100.0, gt=0)
    """Sustained request rate that one client may reach."""

    @property
    def url(self) -> str:
        """URL for a browser on this machine."""
        return local_url(self.host, self.port)


def api_settings(
    *, host: str, port: int, out: Path, ray: str = "", mlflow_url: str = "", tracking_uri: str = "", environment: Mapping[str, str] = os.environ
) -> ApiSettings:
    """Return the settings of the API server. Raise ConfigError for a host that others reach without tokens, a taken port or a malformed setting."""
    check_output_dir(out)
    tokens = tokens_path(out, environment=environment)
    known = read_tokens(tokens)
    if not is_loopback(host) and not known.entries:
        raise ConfigError(
            f"--host {host} lets other machines start sweeps here. Make a token first, e.g. loretta token {getuser()} --role admin --out {out}, or keep the "
            f"default 127.0.0.1 and forward the port (ssh -L {port}:127.0.0.1:{port} THIS_MACHINE)"
        )
    chosen = free_port(host, port)
    return ApiSettings(
        out=out.resolve(),
        host=host,
        port=chosen,
        allowed_hosts=allowed_hosts(host, chosen, environment=environment),
        tokens=tokens.resolve(),
        tokens_required=known.required,
        policy=_submission_policy(environment),
        ray=ray or environment.get("RAY_API_SERVER_ADDRESS", ""),
        mlflow_url=mlflow_url,
        tracking_uri=tracking_uri,
        pin_versions=environment.get("LORETTA_PIN_VERSIONS", "") == "1",
        requests_per_s=_number(environment, "LORETTA_RATE_LIMIT", 100),
    )


def mlflow_settings(*, host: str, port: int, out: Path, store: str = "", artifacts: str = "", environment: Mapping[str, str] = os.environ) -> MlflowSettings:
    """Return the settings of the MLflow server.

    Raise ConfigError for a foreign output directory, a taken port, a host that others reach without authentication or a store that is not PostgreSQL.
    """
    check_output_dir(out)
    store = store or environment.get("LORETTA_STORE", "")
    if store and not store.startswith(("postgresql://", "postgresql+psycopg2://")):
        raise ConfigError(
            f"--store {store.split('://')[0]}://…: expected postgresql://USER@HOST/DATABASE (the password in LORETTA_STORE or ~/.pgpass), or none for SQLite"
        )
    authenticated = _authentication_requested(environment)
    if not is_loopback(host) and not authenticated:
        raise ConfigError(
            f"--host {host} lets other machines reach MLflow, which would give anyone there every run and the right to delete it. Either keep the default "
            f"127.0.0.1 and forward the port (ssh -L {port}:127.0.0.1:{port} THIS_MACHINE), or switch authentication on: set "
            "MLFLOW_AUTH_ADMIN_USERNAME and MLFLOW_AUTH_ADMIN_PASSWORD (or MLFLOW_AUTH_CONFIG_PATH)"
        )
    chosen = free_port(host, port)
    return MlflowSettings(
        out=out.resolve(),
        host=host,
        port=chosen,
        allowed_hosts=allowed_hosts(host, chosen, environment=environment),
        authenticated=authenticated,
        store=store.replace("postgresql://", "postgresql+psycopg2://", 1),  # the driver that we install; SQLAlchemy's default is another one since 2.1
        artifacts=artifacts,
    )


def _submission_policy(environment: Mapping[str, str]) -> SubmissionPolicy:
    roots = tuple(Path(part) for part in environment.get("LORETTA_ALLOWED_ROOTS", "").split(":") if part)
    for root in roots:
        if not root.is_absolute() or not root.is_dir():
            raise ConfigError(f"LORETTA_ALLOWED_ROOTS: {str(root)!r} is not an absolute path of a directory")
    limit = int(_number(environment, "LORETTA_MAX_CELLS", 10_000))
    return SubmissionPolicy(roots=roots, trust_remote_code=environment.get("LORETTA_ALLOW_REMOTE_CODE", "") == "1", max_cells=limit)


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    given = environment.get(name, "")
    try:
        value = float(given or default)
    except ValueError:
        value = 0.0
    if not 1 <= value < float("inf"):
        raise ConfigError(f"{name} = {given!r}: expected a number from 1")
    return value


def _authentication_requested(environment: Mapping[str, str]) -> bool:
    path = environment.get("MLFLOW_AUTH_CONFIG_PATH")
    if path and not Path(path).is_file():
        raise ConfigError(f"MLFLOW_AUTH_CONFIG_PATH = {path!r}: no such file")
    return bool(path or environment.get("MLFLOW_AUTH_ADMIN_PASSWORD"))
