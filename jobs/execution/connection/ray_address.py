"""Checks of RAY_ADDRESS before Ray is asked, which tries for minutes and answers with pages: one line, within seconds."""

from __future__ import annotations

import re

from jobs.execution.connection.ray_watch import listens
from loretta_core.errors import ConfigError

ADVICE = "start it (`ray start --head`), correct RAY_ADDRESS, or unset it to compute on this machine"

_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")

CONNECT_S = 5.0


def check_address(address: str) -> None:
    """Raise ConfigError for an address that is none, that this command cannot use, or where nobody listens. `auto` is left to `knock.py`."""
    if address == "auto":
        return
    if address.startswith("ray://"):
        raise ConfigError(
            f"RAY_ADDRESS = {address}: an address of Ray Client, through which a sweep cannot place its workers; on a machine of the cluster take "
            "RAY_ADDRESS=HOST:6379, from elsewhere `ray job submit` or `loretta submit`"
        )
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ConfigError(f"RAY_ADDRESS = {address[:200]}: no address; expected HOST:PORT, such as 127.0.0.1:6379, or auto; {ADVICE}")
    if not listens(found["host"].strip("[]"), int(found["port"]), timeout_s=CONNECT_S):
        raise ConfigError(f"RAY_ADDRESS = {address}: nobody listens there; {ADVICE}")
