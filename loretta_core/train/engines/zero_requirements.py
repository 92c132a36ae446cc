"""Checks the requirements of a `zero` cell before anything starts. Standard library only: neither torch nor deepspeed is imported."""

from __future__ import annotations

import os
import re
import shutil
from ctypes.util import find_library
from importlib import metadata, util
from pathlib import Path

from loretta_core.config.engine import Zero
from loretta_core.errors import ConfigError

VERSION = "0.19"
"""Release of DeepSpeed that the engine is written for and tested with."""

INSTALL = "pip install '.[deepspeed]'"


def check_zero(engine: Zero) -> None:
    """Raise ConfigError if DeepSpeed is missing, of another release or built for another torch, a compiler for offload is missing or a disk not writable."""
    _check_release()
    _check_prebuilt()
    if engine.offload != "none":
        _check_compiler(engine.offload)
    if engine.nvme_path is not None:
        _check_disk(Path(engine.nvme_path))


def _check_release() -> None:
    found = installed_version("deepspeed")
    if found is None:
        raise ConfigError(f'engine "zero" computes with DeepSpeed, which is not installed here: {INSTALL}')
    if not found.startswith(f"{VERSION}."):
        raise ConfigError(f'engine "zero" is written for DeepSpeed {VERSION}, and {found} is installed: {INSTALL}')


def _check_prebuilt() -> None:
    """Raise ConfigError if DeepSpeed's operators were compiled for another torch, with which they crash."""
    built_for, torch = prebuilt_torch(), installed_version("torch") or "none"
    if built_for is not None and built_for != _minor(torch):
        raise ConfigError(
            f"DeepSpeed's operators were built for torch {built_for}, and torch {torch} is installed; build it anew: "
            f"pip install --force-reinstall --no-cache-dir --no-deps 'deepspeed=={VERSION}.*'"
        )


def prebuilt_torch() -> str | None:
    """Return the release of torch (major.minor) that DeepSpeed's operators were built for; None when they are built at first use."""
    spec = util.find_spec("deepspeed")
    file = Path(spec.origin).parent / "git_version_info_installed.py" if spec and spec.origin else None
    text = file.read_text(encoding="utf-8") if file and file.is_file() else ""
    found = re.search(r"torch_info=\{'version': '([^']+)'", text)
    return None if found is None or found[1] == "0.0" else _minor(found[1])


def _check_compiler(offload: str) -> None:
    missing = [name for name, there in (("g++", shutil.which("g++")), ("ninja", shutil.which("ninja") or util.find_spec("ninja"))) if not there]
    if offload == "nvme" and find_library("aio") is None:
        missing.append("libaio")
    if missing:
        raise ConfigError(f'engine.offload = "{offload}" compiles an operator of DeepSpeed at first use, and {" and ".join(missing)} is not here; install it')


def _check_disk(directory: Path) -> None:
    if not directory.is_dir() or not os.access(directory, os.W_OK):
        raise ConfigError(f"engine.nvme_path = {str(directory)!r} is not a directory that can be written here; make one on a fast local disk of every node")


def installed_version(package: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _minor(version: str) -> str:
    return ".".join(version.split("+")[0].split(".")[:2])
