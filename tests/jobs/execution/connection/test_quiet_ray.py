"""Ray neither takes SIGTERM nor prints while a sweep runs."""

import signal

import ray._private.utils
import ray._private.worker

from jobs.execution.connection.quiet_ray import own_sigterm, quiet_ray


def test_ray_is_quiet_until_the_end_of_the_block(capsys):
    before = ray._private.utils.set_sigterm_handler, ray._private.worker.print_to_stdstream, signal.getsignal(signal.SIGTERM)
    with quiet_ray():
        ray._private.utils.set_sigterm_handler(lambda number, frame: None)
        ray._private.worker.print_to_stdstream({"lines": ["a page"], "pid": "raylet", "is_err": False}, ignore_prefix=False)
        assert signal.getsignal(signal.SIGTERM) == before[2]
    assert (ray._private.utils.set_sigterm_handler, ray._private.worker.print_to_stdstream, signal.getsignal(signal.SIGTERM)) == before
    assert "a page" not in "".join(capsys.readouterr())


def test_our_handler_is_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with own_sigterm():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) == before
