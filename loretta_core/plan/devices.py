"""Devices: memory, arithmetic, bandwidth, price. Standard library only.

Arithmetic and bandwidth are the makers' data sheets (dense, without sparsity); memory is what torch reports, a little less than the name says. Prices are
on-demand list prices of one cloud (Lambda, end of 2024, per device and hour): an order of magnitude for a comparison, not an offer. `UTILISATION` is the share
of the peak that a training step reaches; it is the one number here that is a habit rather than a fact.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from loretta_core.errors import ConfigError

GIB = 1024**3
RESERVED_BYTES = 600_000_000
"""CUDA context and libraries, which torch does not count."""
PROCESS_BYTES = 600_000_000
"""The interpreter with torch, transformers and Ray, in each worker."""
FRAGMENTATION = 0.03
"""Share of a GPU's memory that an allocator cannot hand out at the peak."""
UTILISATION = 0.4
"""Share of the peak arithmetic that a training step of a transformer reaches."""


@dataclass(frozen=True)
class Device:
    """The data sheet of one kind of device.

    Attributes:
        memory_bytes: in total.
        fp32_flops, bf16_flops: multiply-adds count twice; per second, at the peak.
        bandwidth: bytes per second to its own memory.
        link: bytes per second to its neighbours, one way.
        host_link: bytes per second to host memory.
        host_bytes: host memory for each device, for offload.
        price: USD per hour, where known.
    """

    name: str
    memory_bytes: int
    fp32_flops: float
    bf16_flops: float
    bandwidth: float
    link: float
    host_link: float = 25e9
    host_bytes: int = 128 * GIB
    price: float | None = None
    is_cpu: bool = False

    @property
    def usable_bytes(self) -> int:
        """Bytes that a cell's tensors may take."""
        return self.memory_bytes - PROCESS_BYTES if self.is_cpu else int(self.memory_bytes * (1 - FRAGMENTATION)) - RESERVED_BYTES


def _gpu(name: str, gib: float, *, fp32: float, bf16: float, bandwidth: float, link: float, price: float | None = None) -> Device:
    """Return a GPU, from GiB, TFLOP/s and GB/s, the units of data sheets."""
    return Device(name, int(gib * GIB), fp32 * 1e12, bf16 * 1e12, bandwidth * 1e9, link * 1e9, price=price)


DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        _gpu("a100-40gb", 39.4, fp32=19.5, bf16=312, bandwidth=1555, link=300, price=1.29),
        _gpu("a100-80gb", 79.1, fp32=19.5, bf16=312, bandwidth=2039, link=300, price=1.79),
        _gpu("h100-80gb", 79.1, fp32=67, bf16=989, bandwidth=3350, link=450, price=2.99),
        _gpu("h200-141gb", 139.8, fp32=67, bf16=989, bandwidth=4800, link=450),
        _gpu("a10-24gb", 22.0, fp32=31.2, bf16=125, bandwidth=600, link=32, price=0.75),
        _gpu("l4-24gb", 22.0, fp32=30.3, bf16=121, bandwidth=300, link=32),
        _gpu("l40s-48gb", 44.4, fp32=91.6, bf16=362, bandwidth=864, link=32),
        _gpu("rtx-3090-24gb", 23.6, fp32=35.6, bf16=71, bandwidth=936, link=32),
        _gpu("rtx-4090-24gb", 23.5, fp32=82.6, bf16=165, bandwidth=1008, link=32),
        _gpu("v100-32gb", 31.7, fp32=15.7, bf16=15.7, bandwidth=900, link=150, price=0.55),  # no bf16 units
        _gpu("t4-16gb", 14.7, fp32=8.1, bf16=8.1, bandwidth=320, link=16),  # no bf16 units
    )
}
"""name → device."""

CPU_FLOPS_PER_CORE = 30e9
"""fp32, what a matrix product reaches on a server core with AVX2; bf16 is no faster without instructions for it."""


@dataclass(frozen=True)
class Devices:
    """So many devices of one kind, with a link between all of them."""

    device: Device
    count: int = 1

    def __str__(self) -> str:
        return self.device.name if self.count == 1 else f"{self.device.name}:{self.count}"


def parse_devices(text: str) -> Devices:
    """Return devices by their name: `a100-80gb`, `h100-80gb:4`, or `cpu` for this machine. Raises ConfigError."""
    name, separator, count = text.partition(":")
    known = ", ".join([*DEVICES, "cpu"])
    if name != "cpu" and name not in DEVICES:
        raise ConfigError(f"{text}: unknown device {name!r}. Known: {known}; with :N for N of them")
    if separator and not (count.isdigit() and int(count) > 0):
        raise ConfigError(f"{text}: {count!r} is no number of devices; expected 1, 2, …")
    return Devices(this_cpu() if name == "cpu" else DEVICES[name], int(count) if separator else 1)


def cpu_device(*, memory_bytes: int, cores: float) -> Device:
    """Return a CPU as a device: so many cores compute, all of its memory may be used, several workers share it."""
    flops = CPU_FLOPS_PER_CORE * cores / UTILISATION
    return Device("cpu", memory_bytes, flops, flops, 10e9, 5e9, host_link=10e9, host_bytes=0, is_cpu=True)


def this_cpu(*, cores: float | None = None) -> Device:
    """Return the CPU of this machine as a device, with its free memory."""
    return cpu_device(memory_bytes=available_bytes(), cores=cores or os.cpu_count() or 1)


def device_named(name: str) -> Device | None:
    """Return the table's entry for what CUDA calls a device, as "NVIDIA A100-SXM4-80GB" or "NVIDIA H100 80GB HBM3"; None if it has none."""
    words = f"-{name.lower().replace('_', '-').replace(' ', '-')}-"
    for device in DEVICES.values():
        model, _, size = device.name.rpartition("-")
        only_one = sum(other.startswith(f"{model}-") for other in DEVICES) == 1
        if f"-{model}-" in words and (f"-{size}-" in words or only_one):
            return device
    return None


def split_memory(device: Device, *, workers: int) -> Device:
    """Return the share that each of several workers has of a CPU."""
    return replace(device, memory_bytes=device.memory_bytes // workers)


def available_bytes() -> int:
    """Return the bytes of this machine that are free for a new process: Linux's own estimate, capped by the container's limit."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(int(line.split()[1]) * 1024, int(text) if text.isdigit() else 1 << 62)
