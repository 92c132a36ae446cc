"""A cluster in memory, for tests that need no Ray: ids, submissions, roles. The real one is in tests/e2e."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from services.queries.ray_jobs import JobRequest, JobState, JobStatus


@dataclass
class MemoryCluster:
    """A JobsClient that keeps what was submitted; a test says how jobs end."""

    requests: list[JobRequest] = field(default_factory=list)
    known: dict[str, JobState] = field(default_factory=dict)

    def submit(self, request: JobRequest) -> None:
        assert request.submission_id not in self.known, "Ray refuses an id that it knows"
        self.requests.append(request)
        self.known[request.submission_id] = JobState(request.submission_id, "RUNNING")

    def find(self, submission_id: str) -> JobState | None:
        return self.known.get(submission_id)

    def list_jobs(self) -> Sequence[JobState]:
        return list(self.known.values())

    def stop(self, submission_id: str) -> bool:
        self.end(submission_id, "STOPPED")
        return True

    def delete(self, submission_id: str) -> None:
        del self.known[submission_id]

    def logs(self, submission_id: str) -> str:
        return f"log of {submission_id}\n"

    def end(self, submission_id: str, status: JobStatus) -> None:
        """End a job with a status."""
        self.known[submission_id] = replace(self.known[submission_id], status=status)
