"""Coroutines of one caller: one runs at a time, in order, each with random numbers of its own."""

import threading

import pytest
import torch

from loretta_core.pack.coroutine import Coroutine, CoroutineExit


def suspending(log, name):
    def function(suspend):
        for number in range(2):
            log.append((name, number, suspend(f"{name}{number}")))
        return name

    return function


def test_a_function_runs_from_suspension_to_suspension():
    log = []
    coroutines = [Coroutine(suspending(log, name), name=name) for name in "ab"]
    assert [coroutine.resume() for coroutine in coroutines] == ["a0", "b0"]
    assert [coroutine.resume(reply) for coroutine, reply in zip(coroutines, (1, 2), strict=True)] == ["a1", "b1"]
    assert [coroutine.resume(reply) for coroutine, reply in zip(coroutines, (3, 4), strict=True)] == [None, None]
    assert log == [("a", 0, 1), ("b", 0, 2), ("a", 1, 3), ("b", 1, 4)]
    assert [(coroutine.done, coroutine.result, coroutine.error) for coroutine in coroutines] == [(True, "a", None), (True, "b", None)]


def drawing(suspend):
    torch.manual_seed(7)
    first = torch.rand(2)
    suspend("go on")
    return torch.cat([first, torch.rand(2)])


def test_what_others_draw_changes_nothing():
    expected = torch.rand(4, generator=torch.Generator().manual_seed(7))
    torch.manual_seed(3)
    ours = torch.get_rng_state()
    coroutines = [Coroutine(drawing, name="one"), Coroutine(drawing, name="other")]
    for _ in range(2):
        for coroutine in coroutines:
            coroutine.resume()
    assert torch.equal(coroutines[0].result, expected)
    assert torch.equal(coroutines[1].result, expected)
    assert torch.equal(torch.get_rng_state(), ours)


def test_grad_mode_stays_with_the_function():
    @torch.no_grad()
    def without(suspend):
        suspend("here")
        return torch.is_grad_enabled()

    coroutine = Coroutine(without, name="t")
    coroutine.resume()
    assert torch.is_grad_enabled()
    coroutine.resume()
    assert coroutine.result is False


def test_an_exception_ends_one_and_is_kept():
    def failing(suspend):
        suspend("now")
        raise ValueError("no")

    coroutine = Coroutine(failing, name="t")
    coroutine.resume()
    assert coroutine.resume() is None
    assert isinstance(coroutine.error, ValueError)


def test_a_reply_may_be_an_exception():
    coroutine = Coroutine(lambda suspend: suspend("may I?"), name="t")
    coroutine.resume()
    coroutine.resume(PermissionError("no"))
    assert isinstance(coroutine.error, PermissionError)


@pytest.mark.parametrize("started", [True, False])
def test_a_closed_coroutine_ends_where_it_is_suspended(started):
    cleaned = []

    def function(suspend):
        try:
            suspend("for ever")
        finally:
            cleaned.append(threading.current_thread().name)

    coroutine = Coroutine(function, name="abandoned")
    if started:
        coroutine.resume()
    coroutine.close()
    assert cleaned == ["abandoned"] * started
    assert isinstance(coroutine.error, CoroutineExit) == started
