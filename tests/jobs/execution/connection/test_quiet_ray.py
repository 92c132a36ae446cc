"""Ray neither takes SIGTERM nor prints while a sweep runs."""

import signal
import subprocess
import sys

import ray._private.utils
import ray._private.worker

from jobs.execution.connection.quiet_ray import own_sigterm, quiet_ray
from tests.paths import ROOT


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


WRITES = """
import os, sys
from jobs.execution.connection.quiet_ray import own_stderr
with own_stderr():
    os.write(2, b"[W] Failed to connect to GCS\\n")
    print("error: ours", file=sys.stderr)
os.write(2, b"as before\\n")
print("for both", file=sys.stderr)
"""


def test_what_the_library_writes_to_the_descriptor_is_not_seen_and_what_python_writes_is():
    done = subprocess.run([sys.executable, "-c", WRITES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "error: ours\nas before\nfor both\n"
