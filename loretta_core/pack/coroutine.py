"""A function that runs only while somebody waits for it: a coroutine made of a thread, for code that is not written as one.

    ask = turn.advance()            runs until the function asks its first question, or ends (None)
    ask = turn.advance(answer)      goes on with the answer

Everything between two questions happens while the caller waits, so functions that take turns never run at the same time and always in the same order. Each has
torch's random generators to itself: what the others draw does not change what it draws. Thread-local state (grad mode, autocast) is its own anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

Question = TypeVar("Question")
Reply = TypeVar("Reply")
Result = TypeVar("Result")


class Abandoned(BaseException):
    """Raised inside a function whose caller gives up."""


class Coroutine(Generic[Question, Reply, Result]):
    """One such function.

    Args:
        function: gets `ask`, which hands a question to the caller and returns the reply, or raises it if it is an exception.
    """

    def __init__(self, function: Callable[[Callable[[Question], Reply]], Result], *, name: str) -> None:
        self._function = function
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._go, self._stop = threading.Semaphore(0), threading.Semaphore(0)
        self._random = random_state()
        self._question: Question | None = None
        self._reply: Reply | BaseException | None = None
        self.over = False
        self.result: Result | None = None
        self.error: BaseException | None = None
        """What the function raised."""

    def advance(self, reply: Reply | BaseException | None = None) -> Question | None:
        """Go on until the next question; None when the function has ended: `result` or `error` is set then."""
        assert not self.over, "the function has ended"
        self._question, self._reply = None, reply
        ours = random_state()
        set_random_state(self._random)
        try:
            if self._thread.ident is None:
                self._thread.start()
            else:
                self._go.release()
            self._stop.acquire()
        finally:
            self._random = random_state()
            set_random_state(ours)
        return self._question

    def abandon(self) -> None:
        """End the function where it waits."""
        while not self.over and self._thread.ident is not None:
            self.advance(Abandoned())

    def _run(self) -> None:
        try:
            self.result = self._function(self._ask)
        except BaseException as error:
            self.error = error
        finally:
            self.over = True
            self._stop.release()

    def _ask(self, question: Question) -> Reply:
        self._question = question
        self._stop.release()
        self._go.acquire()
        reply = self._reply
        if isinstance(reply, BaseException):
            raise reply
        return reply  # type: ignore[return-value]


def random_state() -> list[Tensor]:
    """Of the CPU, and of the current GPU where one is in use."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else [])]


def set_random_state(state: list[Tensor]) -> None:
    """Inverse of `random_state`."""
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1])
