"""Threads beside the trials: an interrupt is passed on once, room is used when it comes, and nothing is left running."""

import threading
import time

from jobs.orchestration import watchers
from jobs.orchestration.signals import Interrupts
from jobs.orchestration.watchers import beside, grows, passes_on


def wait_for(happened):
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_interrupt_is_passed_on_once():
    interrupts, calls = Interrupts(), []
    with beside(passes_on(interrupts, to=lambda: calls.append(1))):
        assert not calls
        interrupts.requested.set()
        wait_for(lambda: calls)
    assert calls == [1]


def test_room_is_used_when_it_comes_and_a_cluster_that_does_not_answer_is_asked_again(monkeypatch):
    monkeypatch.setattr(watchers, "ROOM_LOOK_S", 0.01)
    answers, grown = [2, ConnectionError("no answer"), 1, 3, 2, 3, 4], []

    def room():
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    with beside(grows(2, room=room, grow=grown.append)):
        wait_for(lambda: 4 in grown)
    assert grown == [3, 4]


def test_threads_end_with_the_block():
    before = threading.active_count()
    with beside(lambda over: over.wait(), lambda over: over.wait()):
        assert threading.active_count() == before + 2
    assert threading.active_count() == before
