"""Samples of processors, memory, disk, network and GPU while a cell trains for long, taken by MLflow's own monitors into a journal of the cell.

    system.jsonl      {"step": sample, "time": …, "system/cpu_utilization_percentage": …, …}

MLflow's thread would ask its server before every sample, and end when that is away; so its monitors are used and the journal is ours. They are imported after
AFTER_S only: short cells pay nothing. MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false turns it off, MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL sets the seconds.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from loretta_core.train.sinks import SYSTEM_JOURNAL_NAME

AFTER_S = 60.0
"""Seconds after which a cell is long."""

INTERVAL_S = 10.0


@contextmanager
def sampled(directory: Path) -> Iterator[None]:
    """Sample this machine into a cell's directory until the block is left, once it has lasted for AFTER_S."""
    if os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "").lower() in ("false", "0"):
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_sample, args=(directory, over), name="system-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _sample(directory: Path, over: threading.Event) -> None:
    if over.wait(AFTER_S):
        return
    interval_s = float(os.environ.get("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL") or INTERVAL_S)
    monitors = _monitors()
    path = directory / SYSTEM_JOURNAL_NAME
    step = _lines(path)
    with suppress(OSError), path.open("a", encoding="utf-8", buffering=1) as file:  # a full disk ends the samples and not the cell
        while not over.is_set():
            file.write(json.dumps({"step": step, "time": round(time.time(), 3), **_values(monitors)}) + "\n")
            step += 1
            over.wait(interval_s)


def _monitors() -> Sequence[Any]:
    """Return MLflow's monitors of what this machine has."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    found: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(Exception):  # no GPU, or no library that reads it: MLflow raises anything
        found.append(GPUMonitor())
    return found


def _values(monitors: Sequence[Any]) -> dict[str, float]:
    values: dict[str, float] = {}
    for monitor in monitors:
        monitor.collect_metrics()
        values |= {f"system/{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
        monitor.clear_metrics()
    return values


def _lines(path: Path) -> int:
    """Return the number of samples of earlier attempts."""
    try:
        with path.open("rb") as file:
            return sum(1 for _ in file)
    except FileNotFoundError:
        return 0
