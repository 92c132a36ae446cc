"""Signals of a process that runs servers."""

import os
import signal

import pytest

from services.server.processes import StopRequested, stop_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_stop_once_and_are_given_back(number):
    before = signal.getsignal(number)
    with pytest.raises(StopRequested), stop_signals():  # noqa: PT012
        os.kill(os.getpid(), number)
        pytest.fail("the signal did not arrive")
    assert signal.getsignal(number) == before
