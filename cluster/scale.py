"""Ask the autoscaler of a Ray cluster for devices, and wait until they are there: `python cluster/scale.py --gpus 16 --gpus-per-node 8`.

A sweep uses the nodes that a cluster has when it begins: it refuses a cell that none of them can hold, and asks for no more worker groups than fit. So nodes
that the autoscaler would have to start are asked for before, by this command, and given back after (`--gpus 0`); the sweep file says nothing of it. The request
stays with the cluster, not with this process, until the next one replaces it. Works inside the cluster or wherever RAY_ADDRESS leads to one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

POLL_S = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 0 when the devices are there, 1 when they did not come in time, 2 for a wrong request."""
    options = argument_parser().parse_args(arguments)
    try:
        wanted = bundles(cpus=options.cpus, gpus=options.gpus, gpus_per_node=options.gpus_per_node, accelerator=options.accelerator)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    import ray
    from ray.autoscaler.sdk import request_resources

    try:
        ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
    except ConnectionError as error:
        print(f"error: no Ray cluster here ({str(error).splitlines()[0]}); run this on a node of it, or set RAY_ADDRESS", file=sys.stderr)
        return 2
    request_resources(bundles=wanted)
    arrived = wait_for({"CPU": options.cpus, "GPU": options.gpus}, offered=ray.cluster_resources, timeout_s=options.timeout)
    print(", ".join(f"{value:g} {name}" for name, value in sorted(ray.cluster_resources().items()) if name in ("CPU", "GPU")) or "no devices", flush=True)
    return 0 if arrived else 1


def bundles(*, cpus: int, gpus: int, gpus_per_node: int = 1, accelerator: str = "") -> list[dict[str, float]]:
    """Return one bundle per node that is needed: GPUs in groups of `gpus_per_node`, CPUs one by one. An empty list withdraws every request.

    Args:
        accelerator: Ray's name of the kind of GPU, e.g. H100; a cluster with several kinds starts any of them without it.

    Raises ValueError when the GPUs are not whole nodes.
    """
    if gpus % gpus_per_node:
        raise ValueError(f"--gpus {gpus}: expected a multiple of --gpus-per-node {gpus_per_node}; nodes come whole")
    kind = {f"accelerator_type:{accelerator}": 0.001} if accelerator else {}
    return [{"GPU": float(gpus_per_node), **kind}] * (gpus // gpus_per_node) + [{"CPU": 1.0}] * cpus


def wait_for(
    wanted: dict[str, float],
    *,
    offered: Callable[[], dict[str, float]],
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until the cluster offers the bundles; return False when `timeout_s` seconds pass before."""
    deadline = clock() + timeout_s
    while not all(offered().get(name, 0.0) >= amount for name, amount in wanted.items()):
        if clock() >= deadline:
            return False
        sleep(POLL_S)
    return True


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python cluster/scale.py", description="Ask a Ray cluster's autoscaler for devices and wait for them; 0 gives them back."
    )
    made.add_argument("--gpus", type=_count, default=0, metavar="N", help="GPUs in all")
    made.add_argument("--cpus", type=_count, default=0, metavar="N", help="CPUs in all, beside those that come with the GPUs")
    made.add_argument("--gpus-per-node", type=_positive, default=1, metavar="N", help="GPUs of one node (default: 1)")
    made.add_argument("--accelerator", default="", metavar="KIND", help="Ray's name of the kind of GPU, e.g. H100 (default: any)")
    made.add_argument("--timeout", type=float, default=1800.0, metavar="SECONDS", help="how long to wait (default: 1800)")
    return made


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


if __name__ == "__main__":
    sys.exit(main())
