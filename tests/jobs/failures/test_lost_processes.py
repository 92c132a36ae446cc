"""A line for people from the page of text of a lost group. (Real groups: test_sweep.py.)"""

import pytest
import ray.exceptions
from ray.train import WorkerGroupError

from jobs.failures.lost_processes import reason_of
from jobs.failures.outcome import Preempted

DIED = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: …"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ray.exceptions.RayActorError(), "a worker process ended unexpectedly: killed, out of memory, or crashed"),
        (RuntimeError(f"Worker 0 is unhealthy\n{DIED}"), "a worker process ended unexpectedly: killed, out of memory, or crashed"),
        (ray.exceptions.OutOfMemoryError("Task was killed due to the node running low on memory."), "out of memory: Ray ended a worker to save the machine"),
        (RuntimeError(f"{DIED}\nmemory usage threshold"), "out of memory: Ray ended a worker to save the machine"),
        (
            RuntimeError("The actor died because of an error raised in its creation task, …\nTraceback …\nArrowInvalid: URI has empty scheme"),
            "ArrowInvalid: URI has empty scheme",
        ),
        (MemoryError(), "out of memory: Ray ended a worker to save the machine"),
        (ValueError("first line\nGroupBroken: rank 0 waited"), "GroupBroken: rank 0 waited"),
        (ValueError(), "WorkerGroupError"),
    ],
)
def test_the_reason_of_a_lost_group(failure, reason):
    assert reason_of(WorkerGroupError("a page of text", {0: failure})) == (reason, "memory" if reason.startswith("out of memory") else "infrastructure")


@pytest.mark.parametrize(
    "failure",
    [
        ray.exceptions.RayActorError(preempted=True),
        RuntimeError("Traceback (most recent call last):\n…\njobs.failures.outcome.Preempted: SIGTERM"),
        Preempted("SIGTERM"),
    ],
)
def test_a_group_whose_machine_is_taken_away(failure):
    assert reason_of(WorkerGroupError("a page of text", {0: failure})) == ("its machine is being taken away", "preempted")


def test_the_reason_is_short():
    assert len(reason_of(ray.exceptions.RayError("x" * 10_000))[0]) == 300
