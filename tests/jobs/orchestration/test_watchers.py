"""Threads beside the trials: an interrupt is passed on once, new capacity is used when it comes, and no thread is left."""

import threading
import time

from jobs.orchestration import watchers
from jobs.orchestration.watchers import run_watchers, watch_capacity, watch_interrupt


def wait_for(happened):
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_interrupt_is_passed_on_once():
    requested, calls = threading.Event(), []
    with run_watchers(watch_interrupt(requested, interrupt=lambda: calls.append(1))):
        assert not calls
        requested.set()
        wait_for(lambda: calls)
    assert calls == [1]


def test_growth_is_used_when_it_comes_and_a_cluster_that_does_not_answer_is_asked_again(monkeypatch):
    monkeypatch.setattr(watchers, "CAPACITY_POLL_S", 0.01)
    answers, grown = [2, ConnectionError("no answer"), 1, 3, 2, 3, 4], []

    def capacity():
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    with run_watchers(watch_capacity(2, capacity=capacity, grow=grown.append)):
        wait_for(lambda: 4 in grown)
    assert grown == [3, 4]


def test_threads_end_with_the_block():
    before = threading.active_count()
    with run_watchers(lambda over: over.wait(), lambda over: over.wait()):
        assert threading.active_count() == before + 2
    assert threading.active_count() == before
