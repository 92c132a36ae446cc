"""Worker groups and the cluster: what a group needs, how many of them fit, and which can never be placed.

    slots of a node = min(⌊CPUs / cpus⌋, ⌊GPUs / gpus⌋)         groups = ⌊Σ slots / workers⌋        (a share of a GPU: ⌊1 / gpus⌋ · GPUs)

All sums are exact: a group asks for a little less CPU than the cell says (`TRIAL_SHARE`), and that rest is what the Tune trials in front of it take.
Without it, trials and groups would compete for the last core and wait for each other for ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loretta_core.config import CellConfig

TRIAL_CPUS = 0.01
"""CPU of a Tune trial, which only waits."""

TRIAL_SHARE = 2 * TRIAL_CPUS
"""CPU that a worker leaves to trials: one whose cell is computed, and one whose cell is next."""


@dataclass(frozen=True, order=True)
class WorkerGroupSpec:
    """The size of a worker group: so many processes with so many CPU cores and GPUs each."""

    workers: int
    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """The number of torch threads of each worker."""
        return max(1, int(self.cpus))

    @property
    def worker_resources(self) -> dict[str, float]:
        """The resources that each worker requests from Ray."""
        cpus = {"CPU": round(max(self.cpus - TRIAL_SHARE, TRIAL_CPUS), 4)}
        return cpus if self.gpus == 0 else {**cpus, "GPU": self.gpus}

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.workers} worker{'s' * (self.workers > 1)} with {self.cpus:g} CPU{gpus}{' each' * (self.workers > 1)}"


@dataclass(frozen=True)
class Node:
    """The resources of one machine of the cluster."""

    cpus: float
    gpus: float = 0.0
    memory_bytes: int = 0
    """Main memory that workers may fill; 0 when it is not known."""
    accelerator: str = ""
    """The name that CUDA or Ray gives its GPUs."""

    def slots(self, spec: WorkerGroupSpec) -> int:
        """Return how many workers of such a group fit. Shares of a GPU do not reach across two."""
        by_cpu = math.floor(self.cpus / spec.cpus + 1e-9)
        if spec.gpus == 0:
            return by_cpu
        by_gpu = math.floor(1 / spec.gpus + 1e-9) * math.floor(self.gpus) if spec.gpus < 1 else math.floor(self.gpus / spec.gpus + 1e-9)
        return min(by_cpu, by_gpu)

    def __str__(self) -> str:
        return f"{self.cpus:g} CPU" + (f" + {self.gpus:g} GPU" if self.gpus else "")


def group_spec_of(cell: CellConfig) -> WorkerGroupSpec:
    """Return the worker group that the cell's engine asks for."""
    return WorkerGroupSpec(workers=cell.engine.workers, cpus=cell.engine.cpus, gpus=cell.engine.gpus)


def by_group_spec(cells: Iterable[CellConfig]) -> dict[WorkerGroupSpec, list[CellConfig]]:
    """Sort cells by the worker group that they need, the largest group first; cells with the same one can share warm groups."""
    specs: dict[WorkerGroupSpec, list[CellConfig]] = {}
    for cell in cells:
        specs.setdefault(group_spec_of(cell), []).append(cell)
    return dict(sorted(specs.items(), reverse=True))


def groups_that_fit(spec: WorkerGroupSpec, nodes: Sequence[Node]) -> int:
    """Return how many such groups the cluster holds at once when nothing else runs on it."""
    return sum(node.slots(spec) for node in nodes) // spec.workers


def explain_unplaceable(spec: WorkerGroupSpec, nodes: Sequence[Node]) -> str | None:
    """Return why such a group can never be placed, with the arithmetic; None if it can."""
    if groups_that_fit(spec, nodes):
        return None
    slots = " + ".join(f"{node.slots(spec)} on a node with {node}" for node in nodes) or "no nodes"
    return (
        f"the cell needs {spec}, and this cluster can never place it: room for {slots} = {sum(node.slots(spec) for node in nodes)} of {spec.workers} "
        f"workers; lower engine.cpus or engine.gpus, or run on larger nodes"
    )


def explain_single_process(spec: WorkerGroupSpec) -> str:
    """Return why the executor `inline` cannot compute a cell of several workers."""
    return f'the cell needs {spec}, and executor = "inline" computes a cell in one process; use executor = "train"'
