"""SIGTERM in a worker process: a flag, at which the running cell saves its state and the process makes room.

    the machine is to go ─► SIGTERM (`drain_node.py`) ─► told() ─► the cell's next step ─► checkpoint ─► Preempted ─► the cell goes on elsewhere

Ray ends a worker at once when it gets SIGTERM. Its handler is replaced here; a second SIGTERM finds it back in place. A killed raylet takes its workers along
within a second, whatever they do: the signal must reach them before.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from types import FrameType

PATIENCE_S = 30.0
"""How long the main thread may take to put the handler in place."""

_told = threading.Event()
_listening = threading.Event()


def preemption_requested() -> bool:
    """Whether this process has been asked to make room."""
    return _told.is_set()


def install_handler() -> None:
    """From now on SIGTERM sets the flag. Callable from any thread, as long as the main one runs Python now and then. Raises TimeoutError when it does not."""
    if _listening.is_set():
        return
    if threading.current_thread() is threading.main_thread():
        _take_over(None)
    else:  # only the main thread may set a handler, and it is Ray's; CPython runs a pending call there, between two instructions
        ctypes.pythonapi.Py_AddPendingCall(_pending_call, None)
    if not _listening.wait(PATIENCE_S):
        raise TimeoutError(f"the main thread ran nothing for {PATIENCE_S:g} s, so that SIGTERM cannot be handled")


def _take_over(argument: object) -> int:
    before = signal.getsignal(signal.SIGTERM)

    def note(number: int, frame: FrameType | None) -> None:
        _told.set()
        signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, note)
    _listening.set()
    return 0


_pending_call = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_take_over)
"""Here, so that it lives as long as the process."""
