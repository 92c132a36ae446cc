"""Classes of failure, from exceptions and from lost processes, and what is tried again. (Real groups: test_sweep.py.)"""

import pytest
import ray.exceptions
from ray.train import WorkerGroupError

from jobs.failures.outcome import Interrupted, Outcome, Preempted
from jobs.failures.retry import MAX_PROCESS_LOSSES, classify_error, classify_process_loss, double_accumulation, next_attempt, outcome_of_error
from loretta_core.config import CellConfig
from loretta_core.errors import CellFailed, ConfigError, DataError

DIED = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: …"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CellFailed("the loss is nan at step 3", kind="nan"), "nan"),
        (CellFailed("broken"), "error"),
        (DataError("no column"), "config"),
        (ConfigError("out of memory settings"), "config"),
        (MemoryError(), "memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (KeyError("a bug"), "error"),
    ],
)
def test_classes_of_exceptions(error, kind):
    assert classify_error(error) == kind


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_an_explained_failure_has_no_traceback():
    outcome = outcome_of_error("c", raised(CellFailed("the loss is nan at step 3", kind="nan")), seconds=2.0)
    assert outcome == Outcome("c", "failed", kind="nan", message="the loss is nan at step 3", seconds=2.0)


def test_a_bug_has_its_type_and_its_traceback():
    outcome = outcome_of_error("c", raised(KeyError("weight")), seconds=0.0)
    assert outcome.message == "KeyError: 'weight'"
    assert "in raised" in outcome.trace


def test_an_interruption_is_no_failure():
    outcome = outcome_of_error("c", Interrupted("at step 4"), seconds=0.0)
    assert (outcome.status, outcome.kind, outcome.message) == ("interrupted", "", "at step 4")


def test_a_preemption_is_a_failure_of_a_class_of_its_own():
    outcome = outcome_of_error("c", Preempted("SIGTERM at step 4"), seconds=0.0)
    assert (outcome.status, outcome.kind, outcome.message) == ("failed", "preempted", "SIGTERM at step 4")


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
    assert classify_process_loss(WorkerGroupError("a page of text", {0: failure})) == (
        reason,
        "memory" if reason.startswith("out of memory") else "infrastructure",
    )


@pytest.mark.parametrize(
    "failure",
    [
        ray.exceptions.RayActorError(preempted=True),
        RuntimeError("Traceback (most recent call last):\n…\njobs.failures.outcome.Preempted: SIGTERM"),
        Preempted("SIGTERM"),
    ],
)
def test_a_group_whose_machine_is_preempted(failure):
    assert classify_process_loss(WorkerGroupError("a page of text", {0: failure})) == ("its machine is being taken away", "preempted")


def test_the_reason_is_short():
    assert len(classify_process_loss(ray.exceptions.RayError("x" * 10_000))[0]) == 300


def test_a_lost_process_is_tried_again_as_it_was(cell):
    text = cell().to_json()
    assert [next_attempt(text, kind="infrastructure", failures=times) for times in (1, MAX_PROCESS_LOSSES)] == [text, None]


def test_preemptions_are_always_tried_again(cell):
    text = cell().to_json()
    assert next_attempt(text, kind="preempted", failures=100) == text


@pytest.mark.parametrize("kind", ["nan", "config", "error", ""])
def test_failures_of_the_cell_itself_are_final(kind, cell):
    assert next_attempt(cell().to_json(), kind=kind, failures=1) is None


def test_double_accumulation_is_the_same_cell(cell):
    smaller = CellConfig.from_json(double_accumulation(cell("batch_size=16").to_json()) or "")
    assert smaller.cell_id == cell("batch_size=16").cell_id
    assert smaller.engine.gradient_accumulation == 2


@pytest.mark.parametrize(
    "settings",
    [
        ("batch_size=1",),
        ("batch_size=6", "engine.gradient_accumulation=2"),
        ("batch_size=8", "engine=ddp", "engine.workers=2", "engine.gradient_accumulation=4"),
    ],
)
def test_a_batch_that_cannot_be_split_further(settings, cell):
    assert double_accumulation(cell(*settings).to_json()) is None
