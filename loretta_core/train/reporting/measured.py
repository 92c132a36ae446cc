"""What a cell cost: peak memory, and the environment it ran in."""

from __future__ import annotations

import gc
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from loretta_core.train.memory import allocator

_PACKAGES = ("torch", "transformers", "peft", "numpy", "ray")


class PeakMemory:
    """Peak memory from construction on: device memory on a GPU, resident memory of the process on a CPU.

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
        """The peak so far."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return _high_water_mark_bytes()


def environment(device: torch.device) -> dict[str, str]:
    """Versions, device and code state, as recorded with every cell."""
    facts = {name: _version(name) for name in _PACKAGES} | {"python": platform.python_version(), "device": _device_name(device), "host": platform.node()}
    commit = _git_commit()
    return facts | ({"git_commit": commit} if commit else {})


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
    """What the process holds now; 0 where the system does not say."""
    status = Path("/proc/self/status")
    line = next((line for line in status.read_text().splitlines() if line.startswith("VmRSS:")), None) if status.is_file() else None
    return 0 if line is None else int(line.split()[1]) * 1024


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.is_file() else []
    return f"{names[0] if names else platform.machine()} ({torch.get_num_threads()} threads)"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@cache
def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, text=True, timeout=5, cwd=Path(__file__).parent, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
