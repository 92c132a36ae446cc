"""Ray options that place an actor of ours on the node of the driver.

Ray would place an actor that takes no CPU on any node, and a sweep must not end with a node that the cluster can spare.
"""

from __future__ import annotations

from typing import Any


def driver_node_options() -> dict[str, Any]:
    """Return the options of an actor that takes no CPU and runs on the node of this process."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(here, soft=False)}
