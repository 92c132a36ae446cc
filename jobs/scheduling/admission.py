"""Admission of cells before a worker starts: which engine an `auto` cell runs with, and which cells no node can hold.

A cell is compared with the memory of one node of the cluster (CPU) or of its GPUs, as if it had it alone; cells that run beside it are not counted, but for
a cell with a share of a GPU (`engine.gpus = 0.25`), which gets that share of its memory. A cell that
cannot be predicted (an architecture or a GPU that the planner does not know) is admitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from jobs.scheduling.resources import Node
from loretta_core.config import CellConfig
from loretta_core.config.engine import Auto, Plain
from loretta_core.errors import MethodError, ResourceError
from loretta_core.plan.devices import Devices, cpu_device, device_named, parse_devices
from loretta_core.plan.placement.fit import choose


@dataclass(frozen=True)
class Admission:
    """The cells that can run, each with its engine, and those that cannot, each with the reason."""

    placed: tuple[CellConfig, ...]
    refused: tuple[tuple[CellConfig, str], ...]


def admit(cells: Iterable[CellConfig], nodes: Sequence[Node]) -> Admission:
    """Choose the engine of every `auto` cell and refuse the cells that no node can hold."""
    placed, refused = [], []
    for cell in cells:
        try:
            placed.append(_with_engine(cell, nodes))
        except ResourceError as error:
            refused.append((cell, str(error)))
    return Admission(tuple(placed), tuple(refused))


def _with_engine(cell: CellConfig, nodes: Sequence[Node]) -> CellConfig:
    devices = devices_for(cell, nodes)
    try:
        if devices is not None:
            return choose(cell, devices)
    except MethodError:
        pass  # the method does not fit the model; the worker's error message has all the names
    return cell.model_copy(update={"engine": plain_engine(cell.engine)}) if isinstance(cell.engine, Auto) else cell


def plain_engine(engine: Auto) -> Plain:
    """Return the engine of an `auto` cell about which nothing can be predicted."""
    return Plain(type="plain", gradient_accumulation=engine.gradient_accumulation, cpus=engine.cpus, gpus=engine.gpus)


def devices_for(cell: CellConfig, nodes: Sequence[Node]) -> Devices | None:
    """Return the devices that the cluster offers a cell; None where they are not known. Raises ConfigError for an `auto` cell with an unknown device."""
    engine = cell.engine
    if isinstance(engine, Auto) and engine.device is not None:
        return parse_devices(engine.device)
    if engine.gpus:
        found = next((device for node in nodes if node.gpus and (device := device_named(node.accelerator))), None)
        if found is not None and engine.gpus < 1:  # several cells share it; nothing but their sum keeps them from each other's memory
            return Devices(replace(found, memory_bytes=int(found.memory_bytes * engine.gpus)))
        return None if found is None else Devices(found, max(1, int(sum(node.gpus for node in nodes) / max(1.0, engine.gpus))))
    roomy = max((node for node in nodes if node.memory_bytes), key=lambda node: node.memory_bytes, default=None)
    if roomy is None:
        return None
    return Devices(cpu_device(memory_bytes=roomy.memory_bytes, cores=engine.cpus), max(1, int(sum(node.cpus for node in nodes) / engine.cpus)))


def gpu_price(nodes: Sequence[Node]) -> float | None:
    """Return the USD per hour of one of the cluster's GPUs; None where it has none that the planner knows."""
    found = next((device for node in nodes if node.gpus and (device := device_named(node.accelerator))), None)
    return None if found is None else found.price
