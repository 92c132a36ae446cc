"""A coroutine made of a thread, for code that is not written as a generator: the function runs only while its caller waits in `resume`.

    value = coroutine.resume()            runs until the function first calls `suspend(value)`, or ends (None)
    value = coroutine.resume(reply)       `suspend` returns the reply; runs until the next `suspend`

Everything between two suspensions happens while the caller waits, so coroutines of one caller never run at the same time and always in the same order. Each has
its own state of torch's random generators: what the others draw does not change what it draws. Thread-local state (grad mode, autocast) is its own anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

Yielded = TypeVar("Yielded")
Reply = TypeVar("Reply")
Result = TypeVar("Result")


class CoroutineExit(BaseException):
    """Raised by `suspend` inside a coroutine that is closed, as GeneratorExit is inside a generator."""


class Coroutine(Generic[Yielded, Reply, Result]):
    """A function that can suspend itself.

    Args:
        function: gets `suspend`, which hands a value to the caller of `resume` and returns the reply, or raises it if it is an exception.
    """

    def __init__(self, function: Callable[[Callable[[Yielded], Reply]], Result], *, name: str) -> None:
        self._function = function
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._resumed, self._suspended = threading.Semaphore(0), threading.Semaphore(0)
        self._random = random_state()
        self._yielded: Yielded | None = None
        self._reply: Reply | BaseException | None = None
        self.done = False
        self.result: Result | None = None
        self.error: BaseException | None = None
        """The exception that the function raised."""

    def resume(self, reply: Reply | BaseException | None = None) -> Yielded | None:
        """Run until the function suspends, and return what it hands over; None when it has ended: `result` or `error` is set then."""
        assert not self.done, "the function has ended"
        self._yielded, self._reply = None, reply
        callers = random_state()
        set_random_state(self._random)
        try:
            if self._thread.ident is None:
                self._thread.start()
            else:
                self._resumed.release()
            self._suspended.acquire()
        finally:
            self._random = random_state()
            set_random_state(callers)
        return self._yielded

    def close(self) -> None:
        """End the function where it is suspended; nothing happens if it has not started or has ended."""
        while not self.done and self._thread.ident is not None:
            self.resume(CoroutineExit())

    def _run(self) -> None:
        try:
            self.result = self._function(self._suspend)
        except BaseException as error:
            self.error = error
        finally:
            self.done = True
            self._suspended.release()

    def _suspend(self, value: Yielded) -> Reply:
        self._yielded = value
        self._suspended.release()
        self._resumed.acquire()
        reply = self._reply
        if isinstance(reply, BaseException):
            raise reply
        return reply  # type: ignore[return-value]


def random_state() -> list[Tensor]:
    """Return the states of torch's generators: the CPU's, and the current GPU's where one is in use."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else [])]


def set_random_state(state: list[Tensor]) -> None:
    """Set torch's generators to states that `random_state` returned."""
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1])
