"""The job API of a Ray cluster behind one Protocol: submit, list, show, stop, logs. The one module of services that knows Ray.

Whoever reaches this API of Ray can run any command on the cluster; that is its purpose, so CVE-2023-48022 will not be patched. So the
dashboard listens on loopback, Ray's token authentication is on, and an address on another machine is refused without it. The token stays in this process's
environment (RAY_AUTH_TOKEN, or better RAY_AUTH_TOKEN_PATH, a file of mode 0600); it is sent to Ray only.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from loretta_core.errors import ConfigError
from services.queries.errors import RayUnavailable
from services.server.addresses import is_loopback

JobStatus = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]
ACTIVE: tuple[JobStatus, ...] = ("PENDING", "RUNNING")


@dataclass(frozen=True)
class JobRequest:
    """A job to start. The entry point is built here from checked parts and holds no text of a sweep."""

    submission_id: str
    entrypoint: str
    working_dir: Path
    runtime_env: Mapping[str, Any]
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class JobState:
    """The state of a job in Ray. Times in milliseconds since 1970."""

    submission_id: str
    status: JobStatus
    message: str = ""
    started_ms: int | None = None
    ended_ms: int | None = None


class JobsClient(Protocol):
    """The jobs of a cluster. Every method raises RayUnavailable when the cluster does not answer."""

    def submit(self, request: JobRequest) -> None:
        """Start a job. The id must not be known to Ray."""
        ...

    def find(self, submission_id: str) -> JobState | None:
        """Return the state of a job, None when Ray does not know it: never submitted, or before the head was restarted."""
        ...

    def list_jobs(self) -> Sequence[JobState]:
        """Return the state of every job that Ray knows."""
        ...

    def stop(self, submission_id: str) -> bool:
        """Ask a job to end; return False when it was over already."""
        ...

    def delete(self, submission_id: str) -> None:
        """Delete a job that is over, so that its id is free."""
        ...

    def logs(self, submission_id: str) -> str:
        """Return what a job has printed so far."""
        ...


@dataclass(frozen=True)
class RayJobs:
    """The JobsClient of a real cluster.

    Args:
        address: http(s)://HOST:PORT of the dashboard.
    """

    address: str

    def submit(self, request: JobRequest) -> None:
        with self._client() as client:
            client.submit_job(
                entrypoint=request.entrypoint,
                submission_id=request.submission_id,
                runtime_env={**request.runtime_env, "working_dir": str(request.working_dir)},
                metadata=dict(request.metadata),
            )

    def find(self, submission_id: str) -> JobState | None:
        return next((state for state in self.list_jobs() if state.submission_id == submission_id), None)

    def list_jobs(self) -> Sequence[JobState]:
        with self._client() as client:
            return [_job_state(details) for details in client.list_jobs() if details.submission_id]

    def stop(self, submission_id: str) -> bool:
        with self._client() as client:
            return client.stop_job(submission_id)

    def delete(self, submission_id: str) -> None:
        with self._client() as client:
            client.delete_job(submission_id)

    def logs(self, submission_id: str) -> str:
        with self._client() as client:
            return client.get_job_logs(submission_id)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """Make a client for one call: it is a few attributes, and keeping one across restarts of the head would gain nothing."""
        # Ray would let these two override the address that was checked.
        for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
            os.environ.pop(name, None)
        from ray.job_submission import JobSubmissionClient  # a second of import

        logging.getLogger("ray.dashboard.modules.dashboard_sdk").setLevel(logging.WARNING)
        try:
            yield JobSubmissionClient(self.address)
        except (ConnectionError, RuntimeError, OSError) as error:
            raise RayUnavailable(f"Ray at {self.address} does not do that: {_short_message(error)}") from None


class NoRay:
    """The JobsClient of a server without a cluster: reading works, submitting says what is missing."""

    def submit(self, request: JobRequest) -> None:
        raise RayUnavailable("no Ray cluster is configured: start one (cluster/local.sh 2) and this server with `loretta serve --ray http://127.0.0.1:8265`")

    def find(self, submission_id: str) -> JobState | None:
        return None

    def list_jobs(self) -> Sequence[JobState]:
        return ()

    def stop(self, submission_id: str) -> bool:
        return False

    def delete(self, submission_id: str) -> None:
        return None

    def logs(self, submission_id: str) -> str:
        return ""


def jobs_client(address: str, *, environment: Mapping[str, str] = os.environ) -> JobsClient:
    """Return the client for an address, or NoRay for "". Raise ConfigError for what is no address of a dashboard, or is not safe."""
    if not address:
        return NoRay()
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path.strip("/"):
        raise ConfigError(f"--ray {address!r}: expected the address of Ray's dashboard, e.g. http://127.0.0.1:8265")
    if not is_loopback(parts.hostname) and environment.get("RAY_AUTH_MODE") != "token":
        raise ConfigError(
            f"--ray {address}: on another machine and RAY_AUTH_MODE is not token. Whoever reaches Ray's job port without a token can run any command there "
            "(CVE-2023-48022): switch it on in the cluster and here (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN_PATH), or tunnel: ssh -L 8265:127.0.0.1:8265 HEAD"
        )
    _check_token_file(environment.get("RAY_AUTH_TOKEN_PATH", ""))
    return RayJobs(address.rstrip("/"))


def _check_token_file(name: str) -> None:
    if not name:
        return
    if not Path(name).is_file():
        raise ConfigError(f"RAY_AUTH_TOKEN_PATH = {name!r}: no such file")
    if stat.S_IMODE(Path(name).stat().st_mode) & 0o077:
        raise ConfigError(f"RAY_AUTH_TOKEN_PATH = {name!r}: other users can read it, and whoever has it can run code on the cluster: chmod 600 {name}")


def _job_state(details: Any) -> JobState:
    return JobState(details.submission_id, details.status.value, details.message or "", details.start_time, details.end_time)


def _short_message(error: Exception) -> str:
    """Return one line of an error of Ray, whose messages include tracebacks of its server."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines and "Traceback" in lines[0] else lines[0] if lines else type(error).__name__)[:300]
