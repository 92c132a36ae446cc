"""The API from the command line: `loretta submit | status | logs | stop` talk to a server of `loretta serve`, here or elsewhere.

LORETTA_SERVER (http://127.0.0.1:8000) says where, LORETTA_TOKEN who is asking. A token is sent to that server only: redirects are not followed.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from loretta_core.errors import ConfigError, LorettaError
from loretta_core.report import units
from loretta_core.report.tables import Table
from services.server.settings import is_loopback

TIMEOUT_S = 60.0
DEFAULT_SERVER = "http://127.0.0.1:8000"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


@dataclass(frozen=True)
class Remote:
    """A server and who asks it. Methods raise ConfigError for what the server refuses and LorettaError when it is not there."""

    server: str
    token: str = field(default="", repr=False)

    def submit(self, toml: str, *, overrides: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
        """Start a sweep; the second value says whether it was started now."""
        with self._open("POST", "/jobs", body={"toml": toml, "overrides": list(overrides)}) as answer:
            return json.load(answer), answer.status == 201

    def job(self, job_id: str) -> dict[str, Any]:
        """One job."""
        return self._json("GET", f"/jobs/{quote(job_id, safe='')}")

    def jobs(self, *, limit: int) -> list[dict[str, Any]]:
        """The newest jobs."""
        return self._json("GET", f"/jobs?{urlencode({'limit': limit})}")["jobs"]

    def progress(self, sweep: str) -> dict[str, Any] | None:
        """How far a sweep is; None before its job has written its manifest."""
        try:
            return self._json("GET", f"/sweeps/{quote(sweep, safe='')}")
        except Missing:
            return None

    def stop(self, job_id: str) -> dict[str, Any]:
        """Ask a job to end."""
        return self._json("POST", f"/jobs/{quote(job_id, safe='')}/stop")

    def logs(self, job_id: str, *, follow: bool) -> Iterator[str]:
        """What a job printed, in pieces as they come."""
        path = f"/jobs/{quote(job_id, safe='')}/logs" + ("?follow=true" if follow else "")
        with self._open("GET", path, timeout=None if follow else TIMEOUT_S) as answer:
            while piece := answer.read1(65536):
                yield piece.decode("utf-8", errors="replace")

    def _json(self, method: str, path: str) -> Any:
        with self._open(method, path) as answer:
            return json.load(answer)

    @contextmanager
    def _open(self, method: str, path: str, *, body: Mapping[str, Any] | None = None, timeout: float | None = TIMEOUT_S) -> Iterator[Any]:
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {self.token}"} if self.token else {})}
        data = json.dumps(body).encode() if body is not None else b"" if method == "POST" else None
        request = urllib.request.Request(f"{self.server}/api/v1{path}", data=data, headers=headers, method=method)
        # No proxy for a server on this machine, whatever the environment says of the rest of the world.
        proxies = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(self.server).hostname or "") else []
        try:
            with urllib.request.build_opener(_NoRedirect, *proxies).open(request, timeout=timeout) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            raise _refused(error, self.server) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise LorettaError(
                f"no server answers at {self.server} ({getattr(error, 'reason', error)}); start one with `loretta serve`, or name it in LORETTA_SERVER"
            ) from None


class Missing(ConfigError):
    """The server has no such thing."""


def remote(*, environment: Mapping[str, str] = os.environ) -> Remote:
    """The server of the environment. Raises ConfigError for an address that is none."""
    server = (environment.get("LORETTA_SERVER") or DEFAULT_SERVER).rstrip("/")
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
        raise ConfigError(f"LORETTA_SERVER = {server!r}: expected an address such as {DEFAULT_SERVER}")
    return Remote(server, environment.get("LORETTA_TOKEN", ""))


def job_text(job: Mapping[str, Any], progress: Mapping[str, Any] | None) -> str:
    """A job in a few lines."""
    lines = [f"{job['submission_id']}: {job['status'].lower()}, {units.counted(job['cells'], 'cell')} of {job['sweep']}, by {job['submitted_by']}"]
    if job["message"]:
        lines.append(job["message"])
    if progress:
        parts = [f"{progress['finished']} of {progress['total']} finished", f"{progress['failed']} failed", f"{len(progress['running'])} running"]
        left = f", about {units.seconds(progress['eta_s'])} left" if progress["eta_s"] is not None else ""
        lines.append(", ".join(parts) + left)
    return "\n".join(lines)


def jobs_table(jobs: list[dict[str, Any]]) -> Table:
    """Jobs as a table."""
    body = tuple(
        (job["submission_id"], job["status"].lower(), job["submitted_at"][:16].replace("T", " "), job["submitted_by"], str(job["cells"])) for job in jobs
    )
    return Table(columns=("job", "status", "submitted (UTC)", "by", "cells"), body=body, numeric=1)


def _refused(error: urllib.error.HTTPError, server: str) -> LorettaError:
    try:
        detail = json.loads(error.read())["detail"]
    except (ValueError, KeyError, TypeError):
        detail = error.reason
    match error.code:
        case 404:
            return Missing(str(detail))
        case 401:
            return ConfigError(f"{server}: {detail}; put yours into LORETTA_TOKEN")
        case code if code < 500:
            return ConfigError(str(detail))
        case _:
            return LorettaError(f"{server}: {detail}")
