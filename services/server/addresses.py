"""Addresses of servers: whether only this machine reaches a host, its URL, the Host headers it answers to, and a port that is free."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping

from loretta_core.errors import ConfigError

ALL_INTERFACES = ("0.0.0.0", "::")


def is_loopback(host: str) -> bool:
    """Return True for addresses that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name: it may resolve to anything
        return False


def local_url(host: str, port: int) -> str:
    """Return the URL at which a browser on this machine finds a server that listens on `host`."""
    host = "127.0.0.1" if host in ALL_INTERFACES else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def public_url(host: str, port: int) -> str:
    """Return the URL for other machines, which only reach it when `host` is not a loopback address."""
    return local_url(socket.gethostname() if host in ALL_INTERFACES else host, port)


def allowed_hosts(host: str, port: int, *, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the Host headers of a server: its own names with the port, and those in LORETTA_ALLOWED_HOSTS."""
    names = ["localhost", "127.0.0.1", "[::1]"]
    if not is_loopback(host):
        names += [socket.gethostname(), *([] if host in ALL_INTERFACES else [host])]
    further = [name.strip() for name in environment.get("LORETTA_ALLOWED_HOSTS", "").split(",") if name.strip()]
    return tuple(dict.fromkeys([*(f"{name}:{port}" for name in names), *further]))


def free_port(host: str, port: int) -> int:
    """Return `port`, or any free one for 0. Raise ConfigError when it is taken or not permitted."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))
            return probe.getsockname()[1]
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"--host {host} --port {port}: cannot listen there ({reason}); give another one, or --port 0 for any free one") from None
