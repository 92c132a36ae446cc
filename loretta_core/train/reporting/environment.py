"""The environment that a cell ran in: versions, device, host and code state."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

_PACKAGES = ("torch", "transformers", "peft", "numpy", "ray")


def environment(device: torch.device) -> dict[str, str]:
    """Return versions, device and code state, as recorded with every cell."""
    facts = {name: _version(name) for name in _PACKAGES} | {"python": platform.python_version(), "device": _device_name(device), "host": platform.node()}
    commit = _git_commit()
    return facts | ({"git_commit": commit} if commit else {})


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
