"""Functions that take turns: one runs at a time, in order, each with random numbers of its own."""

import threading

import pytest
import torch

from loretta_core.pack.coroutine import Abandoned, Coroutine


def asking(log, name):
    def function(ask):
        for number in range(2):
            log.append((name, number, ask(f"{name}{number}")))
        return name

    return function


def test_a_function_runs_from_question_to_question():
    log = []
    turns = [Coroutine(asking(log, name), name=name) for name in "ab"]
    assert [turn.advance() for turn in turns] == ["a0", "b0"]
    assert [turn.advance(reply) for turn, reply in zip(turns, (1, 2), strict=True)] == ["a1", "b1"]
    assert [turn.advance(reply) for turn, reply in zip(turns, (3, 4), strict=True)] == [None, None]
    assert log == [("a", 0, 1), ("b", 0, 2), ("a", 1, 3), ("b", 1, 4)]
    assert [(turn.over, turn.result, turn.error) for turn in turns] == [(True, "a", None), (True, "b", None)]


def drawing(ask):
    torch.manual_seed(7)
    first = torch.rand(2)
    ask("go on")
    return torch.cat([first, torch.rand(2)])


def test_what_others_draw_changes_nothing():
    expected = torch.rand(4, generator=torch.Generator().manual_seed(7))
    torch.manual_seed(3)
    ours = torch.get_rng_state()
    turns = [Coroutine(drawing, name="one"), Coroutine(drawing, name="other")]
    for _ in range(2):
        for turn in turns:
            turn.advance()
    assert torch.equal(turns[0].result, expected)
    assert torch.equal(turns[1].result, expected)
    assert torch.equal(torch.get_rng_state(), ours)


def test_grad_mode_stays_with_the_function():
    @torch.no_grad()
    def without(ask):
        ask("here")
        return torch.is_grad_enabled()

    turn = Coroutine(without, name="t")
    turn.advance()
    assert torch.is_grad_enabled()
    turn.advance()
    assert turn.result is False


def test_an_exception_ends_one_and_is_kept():
    def failing(ask):
        ask("now")
        raise ValueError("no")

    turn = Coroutine(failing, name="t")
    turn.advance()
    assert turn.advance() is None
    assert isinstance(turn.error, ValueError)


def test_a_reply_may_be_an_exception():
    turn = Coroutine(lambda ask: ask("may I?"), name="t")
    turn.advance()
    turn.advance(PermissionError("no"))
    assert isinstance(turn.error, PermissionError)


@pytest.mark.parametrize("started", [True, False])
def test_an_abandoned_function_ends_where_it_waits(started):
    cleaned = []

    def function(ask):
        try:
            ask("for ever")
        finally:
            cleaned.append(threading.current_thread().name)

    turn = Coroutine(function, name="abandoned")
    if started:
        turn.advance()
    turn.abandon()
    assert cleaned == ["abandoned"] * started
    assert isinstance(turn.error, Abandoned) == started
