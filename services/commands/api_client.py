"""HTTP client of the API, for commands that talk to a server of `loretta serve` on this machine or another one.

LORETTA_SERVER (http://127.0.0.1:8000) is its address, LORETTA_TOKEN the token. The token is sent to that server only: redirects are not followed.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from loretta_core.errors import ConfigError, LorettaError
from services.server.addresses import is_loopback

TIMEOUT_S = 60.0
DEFAULT_SERVER = "http://127.0.0.1:8000"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


@dataclass(frozen=True)
class ApiClient:
    """Client of one server. Methods raise ConfigError for what the server refuses and LorettaError when it does not answer."""

    server: str
    token: str = field(default="", repr=False)

    def submit(self, toml: str, *, overrides: Sequence[str]) -> tuple[dict[str, Any], bool]:
        """Start a sweep; the second value says whether it was started now."""
        with self._open("POST", "/jobs", body={"toml": toml, "overrides": list(overrides)}) as answer:
            return json.load(answer), answer.status == 201

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job by its id."""
        return self._json("GET", f"/jobs/{quote(job_id, safe='')}")

    def jobs(self, *, limit: int) -> list[dict[str, Any]]:
        """Return the newest jobs."""
        return self._json("GET", f"/jobs?{urlencode({'limit': limit})}")["jobs"]

    def progress(self, sweep: str) -> dict[str, Any] | None:
        """Return the progress of a sweep, None before its job has written its manifest."""
        try:
            return self._json("GET", f"/sweeps/{quote(sweep, safe='')}")
        except UnknownToServer:
            return None

    def stop(self, job_id: str) -> dict[str, Any]:
        """Ask a job to end."""
        return self._json("POST", f"/jobs/{quote(job_id, safe='')}/stop")

    def logs(self, job_id: str, *, follow: bool) -> Iterator[str]:
        """Yield what a job printed, in pieces as they arrive."""
        path = f"/jobs/{quote(job_id, safe='')}/logs" + ("?follow=true" if follow else "")
        with self._open("GET", path, timeout_s=None if follow else TIMEOUT_S) as answer:
            while piece := answer.read1(65536):
                yield piece.decode("utf-8", errors="replace")

    def _json(self, method: str, path: str) -> Any:
        with self._open(method, path) as answer:
            return json.load(answer)

    @contextmanager
    def _open(self, method: str, path: str, *, body: Mapping[str, Any] | None = None, timeout_s: float | None = TIMEOUT_S) -> Iterator[Any]:
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {self.token}"} if self.token else {})}
        data = json.dumps(body).encode() if body is not None else b"" if method == "POST" else None
        request = urllib.request.Request(f"{self.server}/api/v1{path}", data=data, headers=headers, method=method)
        # No proxy for a server on this machine, whatever proxies the environment names.
        proxies = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(self.server).hostname or "") else []
        try:
            with urllib.request.build_opener(_NoRedirect, *proxies).open(request, timeout=timeout_s) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            raise _error_of(error, self.server) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise LorettaError(
                f"no server answers at {self.server} ({getattr(error, 'reason', error)}); start one with `loretta serve`, or name it in LORETTA_SERVER"
            ) from None


class UnknownToServer(ConfigError):
    """Raised when the server answers 404."""


def connect(*, environment: Mapping[str, str] = os.environ) -> ApiClient:
    """Return a client of the server in LORETTA_SERVER. Raise ConfigError for what is no address."""
    server = (environment.get("LORETTA_SERVER") or DEFAULT_SERVER).rstrip("/")
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
        raise ConfigError(f"LORETTA_SERVER = {server!r}: expected an address such as {DEFAULT_SERVER}")
    return ApiClient(server, environment.get("LORETTA_TOKEN", ""))


def _error_of(error: urllib.error.HTTPError, server: str) -> LorettaError:
    try:
        detail = json.loads(error.read())["detail"]
    except (ValueError, KeyError, TypeError):
        detail = error.reason
    match error.code:
        case 404:
            return UnknownToServer(str(detail))
        case 401:
            return ConfigError(f"{server}: {detail}; put yours into LORETTA_TOKEN")
        case code if code < 500:
            return ConfigError(str(detail))
        case _:
            return LorettaError(f"{server}: {detail}")
