"""Leaked placement groups: they outlived their driver and hold CPUs and GPUs of a shared cluster until it ends.

Ray frees a driver's groups when it ends, but for those a killed job was still waiting for, and detached ones. Needs a connection (`connection/ray_session.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import ray
from ray.util import state
from ray.util.placement_group import PlacementGroup, remove_placement_group
from ray.util.state.common import PlacementGroupState

LIMIT = 10_000
"""Most groups and jobs that Ray is asked for; its default of 100 would hide the rest."""


def find_leaked() -> list[PlacementGroupState]:
    """Return the groups that are not removed and whose driver is gone, as Ray's State API shows them."""
    address = ray.get_runtime_context().gcs_address
    running = {job.job_id for job in state.list_jobs(address=address, limit=LIMIT) if job.status == "RUNNING"}
    groups = state.list_placement_groups(address=address, limit=LIMIT, detail=True)
    return [group for group in groups if group.state != "REMOVED" and group.creator_job_id not in running]


def remove(groups: Iterable[PlacementGroupState]) -> None:
    """Remove placement groups, which frees their resources."""
    for group in groups:
        remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(group.placement_group_id))))


def describe_resources(groups: Iterable[PlacementGroupState]) -> str:
    """Return the resources that groups hold, as in "3 CPU, 1 GPU"."""
    total: Counter[str] = Counter()
    for group in groups:
        for bundle in group.bundles or []:
            total.update(bundle["unit_resources"])
    return ", ".join(f"{amount:g} {name}" for name, amount in sorted(total.items())) or "nothing"


def describe_cluster() -> str:
    """Return the size and version of the connected cluster, as in "2 nodes with 4 CPU, Ray 2.60.0 as here"."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    total = ray.cluster_resources()
    gpus = f" and {total['GPU']:g} GPU" if total.get("GPU") else ""
    return f"{len(alive)} node{'s' * (len(alive) != 1)} with {total.get('CPU', 0.0):g} CPU{gpus}, Ray {ray.__version__} as here"
