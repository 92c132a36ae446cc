"""SIGTERM in a worker process sets a flag, at which the running cell saves its state and the process ends.

    machine preempted ─► SIGTERM (`drain_node.py`) ─► preemption_requested() ─► the cell's next step ─► checkpoint ─► Preempted ─► the cell resumes elsewhere

Ray ends a worker at once when it gets SIGTERM. Its handler is replaced here; a second SIGTERM finds it back in place. A killed raylet takes its workers along
within a second, whatever they do: the signal must reach them before.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from types import FrameType

INSTALL_TIMEOUT_S = 30.0
"""Seconds that the main thread may take to put the handler in place."""

_requested = threading.Event()
_installed = threading.Event()


def preemption_requested() -> bool:
    """Return whether this process has got SIGTERM."""
    return _requested.is_set()


def install_handler() -> None:
    """Let SIGTERM set the flag from now on. Callable from any thread while the main one runs Python now and then. Raises TimeoutError when it does not."""
    if _installed.is_set():
        return
    if threading.current_thread() is threading.main_thread():
        _install(None)
    else:  # only the main thread may set a handler, and it is Ray's; CPython runs a pending call there, between two instructions
        ctypes.pythonapi.Py_AddPendingCall(_pending_call, None)
    if not _installed.wait(INSTALL_TIMEOUT_S):
        raise TimeoutError(f"the main thread ran nothing for {INSTALL_TIMEOUT_S:g} s, so that SIGTERM cannot be handled")


def _install(argument: object) -> int:
    """Replace the handler, in the main thread."""
    before = signal.getsignal(signal.SIGTERM)

    def set_flag(number: int, frame: FrameType | None) -> None:
        _requested.set()
        signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, set_flag)
    _installed.set()
    return 0


_pending_call = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_install)
"""Global, so that it lives as long as the process."""
