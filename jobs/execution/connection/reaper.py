"""A process that clears up after a driver that was killed: `python -m jobs.execution.connection.reaper DIRECTORY`, with a pipe from the driver as its input.

Ray's raylet and GCS end with their driver, some of their agents do not, and nobody deletes the session directory. The reaper waits for the end of the pipe,
which comes with the end of the driver however that ends; a driver that ends by itself has removed the directory by then, and nothing is left to do. The reaper
has a session of its own, so that signals to the driver's process group pass it by.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.execution.connection.session_directory import make_session_directory, remove_session

PARTING_S = 1.0
"""Time that Ray's processes have to end by themselves."""

TRIES = 5
"""Removals, a second apart: a process that is just being started writes into a directory that was removed."""


@contextmanager
def reaped_session_directory() -> Iterator[Path]:
    """Create a session directory and yield it; at the end of the block, or of this process, its processes end and it is removed."""
    directory = make_session_directory()
    reaper = subprocess.Popen(
        [sys.executable, "-m", "jobs.execution.connection.reaper", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=Path(__file__).parents[3],
    )
    assert reaper.stdin is not None
    try:
        yield directory
    finally:
        remove_session(directory)
        reaper.stdin.close()
        reaper.wait()


def main(directory: Path) -> None:
    """Wait for the end of the driver, then end what is left of its Ray and delete the directory."""
    sys.stdin.buffer.read()
    for _ in range(TRIES):
        if not directory.exists():
            return
        time.sleep(PARTING_S)
        remove_session(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
