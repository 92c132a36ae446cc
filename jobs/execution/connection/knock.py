"""Asks a running Ray whether it lets us in. `python -m jobs.execution.connection.knock ADDRESS` prints `imported`, then the answer as a line of JSON.

`ray.init` tries for minutes where it is refused or where something else than Ray listens, and prints its own lines meanwhile. A single request is answered
within milliseconds by a Ray that lets us in, and by one that does not; whoever does not answer at all is no Ray.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from jobs.execution.connection.ray_address import ADVICE, CONNECT_S
from jobs.execution.connection.ray_watch import listens
from loretta_core.errors import ConfigError

ANSWER_S = 8.0
"""How long Ray may take; it takes milliseconds."""
_IMPORTED = "imported"
_MODE = "RAY_AUTH_MODE"


@cache
def knock(address: str) -> str:
    """Return HOST:PORT of the Ray of RAY_ADDRESS, which has let a process like this one in. Raises ConfigError within some seconds if it does not.

    A sweep asks before it starts anything, and is let in by the same answer later.
    """
    if address == "auto":
        take_token()
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs.execution.connection.knock", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()  # seconds, on a busy machine
        try:
            answer = json.loads(process.communicate(timeout=ANSWER_S)[0])
        except (subprocess.TimeoutExpired, ValueError):
            process.kill()
            answer = {"refusal": f"no answer within {ANSWER_S:g} s"}
    if refusal := answer.get("refusal"):
        raise ConfigError(
            f"RAY_ADDRESS = {address}: no Ray there lets us in ({refusal}); {ADVICE}. If it is running: is the token in RAY_AUTH_TOKEN, or in the file "
            "RAY_AUTH_TOKEN_PATH, that of this cluster?"
        )
    return answer["address"]


def take_token() -> None:
    """Turn Ray's tokens on where there is one, as Ray itself would, with a page of words, for `auto`."""
    files = [os.environ.get("RAY_AUTH_TOKEN_PATH"), "~/.ray/auth_token"]
    if _MODE not in os.environ and ("RAY_AUTH_TOKEN" in os.environ or any(file and Path(file).expanduser().is_file() for file in files)):
        os.environ[_MODE] = "token"


def main(address: str) -> dict[str, str]:
    """Return the address that was found, or why not."""
    from ray._private.services import canonicalize_bootstrap_address
    from ray._raylet import GcsClient

    print(_IMPORTED, flush=True)
    try:
        found = str(canonicalize_bootstrap_address(address))
        host, _, port = found.rpartition(":")
        if not listens(host.strip("[]"), int(port), timeout_s=CONNECT_S):
            return {"refusal": f"nobody listens at {found}"}
        GcsClient(address=found)
    except Exception as error:  # a process edge: Ray raises whatever it likes
        return {"refusal": (str(error).strip() or type(error).__name__).splitlines()[0].partition(" Note: ")[0].rstrip(".")}
    return {"address": found}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])), flush=True)
