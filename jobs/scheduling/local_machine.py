"""The most that this machine can hold, known without starting Ray: where a sweep starts a Ray of its own, a cell that needs more can never be placed."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

from jobs.scheduling.resources import Node, by_group_spec, explain_unplaceable
from loretta_core.config import CellConfig
from loretta_core.config.engine import Auto
from loretta_core.errors import ResourceError
from loretta_core.report.units import counted

_GPU_FILES = ("nvidia[0-9]*", "nvidiactl", "dxg", "kfd", "dri/renderD*", "accel*", "davinci*")
"""Below /dev: what a driver of any GPU that Ray knows makes there."""


def local_node() -> Node:
    """Return an upper bound of what Ray will find: all cores, no GPU where there is certainly none, else any number. Its memory is not known."""
    return Node(cpus=os.cpu_count() or math.inf, gpus=math.inf if _may_have_gpus() else 0.0)


def check_placeable(cells: Iterable[CellConfig]) -> None:
    """Raise ResourceError, with the arithmetic, for cells that this machine can never place. `auto` cells get an engine that fits later on."""
    groups = by_group_spec(cell for cell in cells if not isinstance(cell.engine, Auto))
    reasons = {reason: members for spec, members in groups.items() if (reason := explain_unplaceable(spec, [local_node()]))}
    if reasons:
        lines = [f"{counted(len(members), 'cell')}, such as {members[0].label}: {reason}" for reason, members in reasons.items()]
        raise ResourceError("\n".join([*lines, "Nothing was started: leave these cells out with [[exclude]], or name a cluster in RAY_ADDRESS"]))


def _may_have_gpus() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    return not Path("/dev").is_dir() or any(any(Path("/dev").glob(pattern)) for pattern in _GPU_FILES)
