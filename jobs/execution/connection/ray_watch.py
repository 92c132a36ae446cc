"""Ends a sweep whose Ray is gone: its head, its GCS, or the raylet of this machine.

Without them calls of Ray hang, some for ever, and after a minute Ray ends the process without a word. So a thread beside the sweep looks every second whether
they are there. If not, it raises in the main thread, again and again until the session is left; where that does not help, because the main thread hangs in a
call of Ray, it prints what there is to say and ends the process.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

import psutil

from loretta_core.errors import InfrastructureError, LorettaError

POLL_S = 0.5

CONFIRM_S = 2.0
"""How long an exception waits for the death that may be its reason."""

RAISE_EVERY_S = 2.0
"""Some library may have caught what was raised."""

PARTING_S = 8.0
"""Time to leave the session."""

GCS_PATIENCE_S = 12.0
"""A GCS that does not answer may be one that restarts, as on Kubernetes."""

_SIGNAL = signal.SIGUSR2

Describe = Callable[[str], str]
"""What died → the whole message: what is kept, and how to go on."""


class Probe(Protocol):
    """Looks whether Ray is there."""

    @property
    def suspicious(self) -> bool:
        """True while something does not answer that need not be dead."""
        ...

    def __call__(self) -> str:
        """Return what died; "" while all is well."""
        ...


class OwnRay:
    """The Probe of a Ray that this process started: raylet and GCS are children of it, from the first moment on."""

    suspicious = False

    def __init__(self) -> None:
        self.seen: dict[str, psutil.Process] = {}
        """Name of a process of Ray → the process."""

    def __call__(self) -> str:
        """Return which of the two has ended."""
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if child.name() in _WORDS:
                    self.seen[child.name()] = child
        return next((f"{_WORDS[name]}, process {process.pid}, has ended" for name, process in self.seen.items() if _ended(process)), "")


_WORDS = {"raylet": "Ray's raylet on this machine", "gcs_server": "Ray's GCS on this machine"}


class JoinedRay:
    """The Probe of a cluster: its GCS answers at `address`, and the raylet of this machine, if it can be seen from here, is alive.

    Args:
        raylet_socket: path that the raylet of this machine was started with.
    """

    def __init__(self, address: str, *, raylet_socket: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._address = address
        self._raylet = next((process for process in psutil.process_iter(["name", "cmdline"]) if _is_raylet(process, raylet_socket)), None)
        self._silent_since: float | None = None

    @property
    def suspicious(self) -> bool:
        """True while the GCS does not answer."""
        return self._silent_since is not None

    def __call__(self) -> str:
        """Return what does not live any more."""
        if self._raylet is not None and _ended(self._raylet):
            return f"{_WORDS['raylet']}, process {self._raylet.pid}, has ended"
        if listens(self._host, self._port, timeout_s=3.0):
            self._silent_since = None
            return ""
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        return f"the head of the Ray cluster at {self._address} has not answered for {GCS_PATIENCE_S:g} s" if now - self._silent_since > GCS_PATIENCE_S else ""


class RayWatch:
    """Watches Ray with the current `probe` from `__enter__` to `over`. The block ends with InfrastructureError when Ray dies."""

    def __init__(self, probe: Probe, describe: Describe) -> None:
        self.probe = probe
        self._describe = describe
        self._message = ""
        self._inside = False
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def lost(self) -> bool:
        """True once Ray is dead."""
        return bool(self._message)

    @contextmanager
    def block(self) -> Iterator[None]:
        """Watch until the end of the block. Raises InfrastructureError in place of whatever the death of Ray made break."""
        before = signal.signal(_SIGNAL, self._raise)
        self._inside = True
        self._thread.start()
        try:
            yield
            self._inside = False
        except _RayLost:
            raise InfrastructureError(self._message) from None
        except Exception as error:
            if not isinstance(error, LorettaError) and self._is_confirmed():
                raise InfrastructureError(self._message) from None
            raise
        finally:
            self._inside = False
            signal.signal(_SIGNAL, before if before is not None else signal.SIG_DFL)
            if not self._message:
                self._over.set()

    def over(self) -> None:
        """Say that Ray is shut down: there is nothing to wait for any more."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(POLL_S):
            if self._look():
                break
        else:
            return
        deadline = time.monotonic() + PARTING_S
        while time.monotonic() < deadline:
            if self._inside:
                signal.pthread_kill(_main_thread(), _SIGNAL)
            if self._over.wait(RAISE_EVERY_S):
                return
        print(f"error: {self._message}", file=sys.stderr, flush=True)
        os._exit(InfrastructureError.exit_code)

    def _look(self) -> bool:
        """Look once; returns whether Ray is gone."""
        with self._lock:
            if not self._message and (died := self.probe()):
                self._message = self._describe(died)
            return bool(self._message)

    def _is_confirmed(self) -> bool:
        """Return whether Ray is gone, after a moment in which that may show."""
        deadline = time.monotonic() + CONFIRM_S
        while not self._look():
            if time.monotonic() > deadline and not self.probe.suspicious:
                return False
            time.sleep(POLL_S)
        return True

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if self._inside:
            raise _RayLost


class _RayLost(BaseException):
    """Raised in the main thread; no Exception, which libraries catch."""


def listens(host: str, port: int, *, timeout_s: float) -> bool:
    """Return whether somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except (OSError, ValueError):  # ValueError: no name that could be one
        return False


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _is_raylet(process: psutil.Process, raylet_socket: str) -> bool:
    line: Sequence[str] = process.info["cmdline"] or ()
    return process.info["name"] == "raylet" and any(part.endswith(f"={raylet_socket}") for part in line)


def _main_thread() -> int:
    found = threading.main_thread().ident
    assert found is not None
    return found
