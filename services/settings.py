"""What a server of ours needs to know, from the command line and the environment, checked before anything starts.

Environment:
- LORETTA_ALLOWED_HOSTS: further names in the Host header, comma-separated (behind a proxy, on a cluster)
- MLFLOW_AUTH_ADMIN_USERNAME, MLFLOW_AUTH_ADMIN_PASSWORD: switch MLflow's authentication on; needed off this machine
- MLFLOW_AUTH_CONFIG_PATH: the same from an .ini file
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from loretta_core.errors import ConfigError
from loretta_core.report.records import check_output_dir


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

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def server_settings(*, host: str, port: int, out: Path, environment: Mapping[str, str] = os.environ) -> ServerSettings:
    """Check and decide. Raises ConfigError: output directory not ours, port taken, or a host others can reach without authentication."""
    check_output_dir(out)
    authenticated = _authentication(environment)
    if not is_loopback(host) and not authenticated:
        raise ConfigError(
            f"--host {host} lets other machines reach MLflow, which would give anyone there every run and the right to delete it. Either keep the default "
            f"127.0.0.1 and forward the port (ssh -L {port}:127.0.0.1:{port} THIS_MACHINE), or switch authentication on: pip install 'mlflow[auth]', and set "
            "MLFLOW_AUTH_ADMIN_USERNAME and MLFLOW_AUTH_ADMIN_PASSWORD (or MLFLOW_AUTH_CONFIG_PATH)"
        )
    chosen = _free_port(host, port)
    return ServerSettings(
        out=out.resolve(), host=host, port=chosen, allowed_hosts=_allowed_hosts(host, chosen, environment=environment), authenticated=authenticated
    )


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
    wanted = bool(path or environment.get("MLFLOW_AUTH_ADMIN_PASSWORD"))
    if wanted and find_spec("flask_wtf") is None:
        raise ConfigError("MLflow's authentication is asked for by the environment and not installed: pip install 'mlflow[auth]'")
    return wanted


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
