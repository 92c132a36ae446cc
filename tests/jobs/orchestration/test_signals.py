"""The first signal asks, the second insists, and afterwards the handlers are as before."""

import os
import signal

import pytest

from jobs.orchestration.signals import Interrupts


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_asks_and_the_second_insists(number, code):
    before = signal.getsignal(number)
    said = []
    with Interrupts(said.append) as interrupts:
        assert not interrupts.requested.is_set()
        os.kill(os.getpid(), number)
        assert interrupts.requested.is_set()
        assert interrupts.exit_code == code
        assert len(said) == 1
        assert "once more to stop at once" in said[0]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
