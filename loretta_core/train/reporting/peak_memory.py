"""Peak memory of a cell, measured: device memory on a GPU, resident memory of the process on a CPU."""

from __future__ import annotations

import gc
from pathlib import Path

import torch

from loretta_core.train.memory import allocator


class PeakMemory:
    """Measures peak memory from construction on: device memory on a GPU, resident memory of the process on a CPU.

    The process may have run other cells before. What they left is returned to the system first and the kernel's high-water mark reset, so that the number
    belongs to this cell; it includes the interpreter and libraries (about 0.5 GB).
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        gc.collect()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            allocator.trim()  # the number would include what earlier cells left
            _reset_high_water_mark()

    def bytes(self) -> int:
        """Return the peak so far, in bytes."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return _high_water_mark_bytes()


def _reset_high_water_mark() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not permitted: the mark is the process's, not the cell's
        return


def _high_water_mark_bytes() -> int:
    status = Path("/proc/self/status")
    if not status.is_file():
        import resource  # POSIX only

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, the one other system we meet here
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def resident_bytes() -> int:
    """Return the resident memory of the process now, in bytes; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    line = next((line for line in status.read_text().splitlines() if line.startswith("VmRSS:")), None) if status.is_file() else None
    return 0 if line is None else int(line.split()[1]) * 1024
