"""Submit sweeps as jobs of a Ray cluster and keep track of them in OUT/submissions/<id>/{submission.json, work/sweep.toml, logs-<n>.txt}.

The same sweep (name and cells, and overrides that change them) has the same id: submitting it twice starts it once. One that ended is submitted again under its
id and continues, since finished cells are never computed again. Ray loses its jobs when its head restarts; these files remain.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from loretta_core.config import SweepConfig
from loretta_core.store.output_dir import write_atomically
from services.queries.errors import NotFound
from services.queries.ray_jobs import ACTIVE, JobRequest, JobsClient, JobState
from services.server.submission_policy import SubmissionPolicy, read_sweep

PINNED_PACKAGES = ("torch", "transformers", "peft", "numpy", "mlflow", "datasets", "safetensors", "tokenizers", "scikit-learn", "pydantic")
"""Packages that decide a cell's numbers; Ray itself is the cluster's."""

_SUBMISSION_NAME = "submission.json"


class Submission(BaseModel):
    """A submitted sweep, as submission.json keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    submission_id: str
    sweep: str
    cells: int
    submitted_at: str
    """Time of the last start: ISO 8601, UTC."""
    submitted_by: str
    """Name of the submitter's token."""
    starts: int = 1
    overrides: tuple[str, ...] = ()


class Job(BaseModel):
    """A submission and what Ray says of it now."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    submission_id: str
    sweep: str
    cells: int
    submitted_at: str
    submitted_by: str
    starts: int
    status: Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED", "UNKNOWN"]
    """UNKNOWN: Ray does not know the job any more, or does not answer; what it finished is kept."""
    message: str = ""
    started_ms: int | None = None
    """Milliseconds since 1970."""
    ended_ms: int | None = None


@dataclass(frozen=True)
class Submissions:
    """The jobs of one output directory on one cluster.

    Args:
        tracking_uri: MLflow for the jobs; empty for the SQLite file in `out`.
        pin_versions: install the versions of this process in the job's environment, for clusters whose image has others; needs a package index there.
    """

    out: Path
    client: JobsClient
    policy: SubmissionPolicy
    tracking_uri: str = ""
    pin_versions: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, text: str, *, overrides: Sequence[str] = (), submitted_by: str = "") -> tuple[Job, bool]:
        """Start a sweep unless it runs already; the second value says whether it was started now. Raise ConfigError and RayUnavailable."""
        sweep = read_sweep(text, policy=self.policy, overrides=overrides)
        name = submission_id(sweep)
        with self._lock:  # two clicks at once are one start
            known, state = self._read(name), self.client.find(name)
            if known and state and state.status in ACTIVE:
                return _job(known, state), False
            if state:
                self._archive_logs(name, starts=known.starts if known else 1)
            submission = Submission(
                submission_id=name,
                sweep=sweep.name,
                cells=len(sweep.cells),
                submitted_at=datetime.now(UTC).isoformat(timespec="seconds"),
                submitted_by=submitted_by,
                starts=known.starts + 1 if known else 1,
                overrides=tuple(overrides),
            )
            work = self._directory(name) / "work"
            work.mkdir(parents=True, exist_ok=True)
            write_atomically(work / "sweep.toml", text)
            # Written before the job starts: a server that dies in between knows the job afterwards.
            write_atomically(self._directory(name) / _SUBMISSION_NAME, submission.model_dump_json(indent=1))
            self.client.submit(JobRequest(name, self._entrypoint(overrides), work, self._runtime_env(), {"sweep": sweep.name, "submitted_by": submitted_by}))
            return _job(submission, self.client.find(name) or JobState(name, "PENDING")), True

    def jobs(self) -> list[Job]:
        """Return every submission, the newest first."""
        states = {state.submission_id: state for state in self.client.list_jobs()}
        found = [submission for path in (self.out / "submissions").glob(f"*/{_SUBMISSION_NAME}") if (submission := self._read(path.parent.name))]
        return sorted((_job(each, states.get(each.submission_id)) for each in found), key=lambda job: (job.submitted_at, job.submission_id), reverse=True)

    def job(self, name: str) -> Job:
        """Return one job. Raise NotFound."""
        return _job(self._known(name), self.client.find(name))

    def stop(self, name: str) -> Job:
        """Ask a job to end; finished cells are kept. Nothing happens to one that is over. Raise NotFound."""
        known = self._known(name)
        state = self.client.find(name)
        if state and state.status in ACTIVE:
            self.client.stop(name)
            state = self.client.find(name)
        return _job(known, state)

    def logs(self, name: str) -> str:
        """Return what a job printed; the saved logs of an earlier start where Ray does not know the job any more. Raise NotFound."""
        known = self._known(name)
        if self.client.find(name):
            return self.client.logs(name)
        kept = self._directory(name) / f"logs-{known.starts}.txt"
        return kept.read_text(encoding="utf-8", errors="replace") if kept.is_file() else ""

    def _archive_logs(self, name: str, *, starts: int) -> None:
        """Save the logs of a job that is over and delete it in Ray, which frees its id."""
        self._directory(name).mkdir(parents=True, exist_ok=True)
        write_atomically(self._directory(name) / f"logs-{starts}.txt", self.client.logs(name))
        self.client.delete(name)

    def _entrypoint(self, overrides: Iterable[str]) -> str:
        options = ["--out", str(self.out.resolve()), *(part for override in overrides for part in ("--set", override))]
        # The sweep's own `output` is a path of the submitter's machine; the server has one directory for all.
        tracking = ["--tracking-uri", self.tracking_uri] if self.tracking_uri else []
        return shlex.join(["python", "-m", "jobs.sweep", "sweep.toml", *options, *tracking])

    def _runtime_env(self) -> dict[str, Any]:
        variables = {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "0")}
        return {"env_vars": variables, **({"pip": pinned_versions()} if self.pin_versions else {})}

    def _directory(self, name: str) -> Path:
        return self.out / "submissions" / name

    def _known(self, name: str) -> Submission:
        known = self._read(name)
        if known is None:
            raise NotFound(f"no job {name!r}; `loretta status` lists them")
        return known

    def _read(self, name: str) -> Submission | None:
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
            return None
        try:
            return Submission.model_validate_json((self._directory(name) / _SUBMISSION_NAME).read_bytes())
        except (OSError, ValidationError):
            return None


def submission_id(sweep: SweepConfig) -> str:
    """Return `NAME-` and 12 hex digits of the cells: the same id for the same cells, whatever the order and comments of the file."""
    content = json.dumps([sweep.name, sorted(cell.to_json() for cell in sweep.cells)])
    return f"{sweep.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def pinned_versions() -> list[str]:
    """Return `name==version` of this process for PINNED_PACKAGES, without local labels such as +cpu, which no index has."""
    return [f"{name}=={metadata.version(name).partition('+')[0]}" for name in PINNED_PACKAGES]


def _job(submission: Submission, state: JobState | None) -> Job:
    shared: Mapping[str, Any] = submission.model_dump(exclude={"overrides"})
    job = Job(**shared, status="UNKNOWN")
    if state is None:
        return job
    return job.model_copy(update={name: value for name, value in vars(replace(state)).items() if name != "submission_id"})
