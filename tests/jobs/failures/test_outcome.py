"""Exceptions sorted into classes of failure, and the one outcome of several ranks."""

import json
import pickle

import pytest

from jobs.failures.outcome import Interrupted, Outcome, Preempted, agreed, kind_of
from loretta_core.errors import CellFailed, ConfigError, DataError


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
def test_kinds(error, kind):
    assert kind_of(error) == kind


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_an_explained_failure_has_no_traceback():
    outcome = Outcome.from_error("c", raised(CellFailed("the loss is nan at step 3", kind="nan")), seconds=2.0)
    assert outcome == Outcome("c", "failed", kind="nan", message="the loss is nan at step 3", seconds=2.0)


def test_a_bug_has_its_type_and_its_traceback():
    outcome = Outcome.from_error("c", raised(KeyError("weight")), seconds=0.0)
    assert outcome.message == "KeyError: 'weight'"
    assert "in raised" in outcome.trace


def test_an_interruption_is_no_failure():
    outcome = Outcome.from_error("c", Interrupted("at step 4"), seconds=0.0)
    assert (outcome.status, outcome.kind, outcome.message) == ("interrupted", "", "at step 4")


def test_a_preemption_is_a_failure_of_a_class_of_its_own():
    outcome = Outcome.from_error("c", Preempted("SIGTERM at step 4"), seconds=0.0)
    assert (outcome.status, outcome.kind, outcome.message) == ("failed", "preempted", "SIGTERM at step 4")


def test_an_outcome_travels():
    outcome = Outcome("c", "failed", kind="nan", message="m", trace="t", seconds=1.5)
    assert Outcome(**json.loads(json.dumps(outcome.to_dict()))) == outcome
    assert pickle.loads(pickle.dumps(outcome)) == outcome  # noqa: S301 - our own bytes


FINE, STOPPED, BROKEN = Outcome("c", "finished", seconds=3.0), Outcome("c", "interrupted", message="stop"), Outcome("c", "failed", kind="nan", message="nan")


@pytest.mark.parametrize(
    ("ranks", "status", "message"),
    [
        ([FINE, FINE], "finished", ""),
        ([FINE, BROKEN], "failed", "rank 1 of 2: nan"),
        ([STOPPED, FINE], "interrupted", "rank 0 of 2: stop"),
        ([STOPPED, BROKEN, FINE], "failed", "rank 1 of 3: nan"),
        ([BROKEN], "failed", "nan"),
    ],
)
def test_a_failure_on_any_rank_is_the_outcome_of_all(ranks, status, message):
    outcome = agreed(ranks)
    assert (outcome.status, outcome.message) == (status, message)
