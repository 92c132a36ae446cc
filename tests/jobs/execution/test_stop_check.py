"""The check before every step: a stopped sweep, SIGTERM, and how often the actor is asked."""

import time

from jobs.execution.group_comm import SingleProcess
from jobs.execution.stop_check import StopCheck, StopFlag
from jobs.failures import preemption
from jobs.failures.outcome import Interrupted, Preempted


class Interrupts:
    """Stands in for the actor; counts the calls."""

    def __init__(self, *, interrupted: bool = False) -> None:
        self.interrupted = interrupted
        self.calls = 0

    def is_interrupted(self) -> bool:
        self.calls += 1
        return self.interrupted


def test_the_flag_stays_set():
    flag = StopFlag()
    assert not flag.is_interrupted()
    flag.interrupt()
    assert flag.is_interrupted()


def test_a_running_cell_ends_when_the_sweep_is_stopped(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    interrupts = Interrupts(interrupted=True)
    stop = StopCheck(interrupts, SingleProcess(), every_s=1.0)
    assert [stop(step) for step in range(1000)] == [None] * 1000
    assert interrupts.calls == 0  # not at every step
    now[0] += 1.0
    reason = stop(1000)
    assert isinstance(reason, Interrupted)
    assert str(reason) == "the sweep was stopped at step 1000"


def test_a_running_cell_goes_on_while_nobody_stops_the_sweep():
    interrupts = Interrupts()
    stop = StopCheck(interrupts, SingleProcess(), every_s=0.0)
    assert [stop(step) for step in range(3)] == [None] * 3
    assert interrupts.calls == 3


def test_a_running_cell_ends_at_the_step_after_sigterm_without_asking_the_actor(monkeypatch):
    interrupts = Interrupts(interrupted=True)
    stop = StopCheck(interrupts, SingleProcess(), every_s=0.0)
    monkeypatch.setattr(preemption, "preemption_requested", lambda: True)
    assert isinstance(stop(7), Preempted)
    assert interrupts.calls == 0
