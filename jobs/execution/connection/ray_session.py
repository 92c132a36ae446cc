"""A connection to Ray: the cluster of RAY_ADDRESS (also set inside `ray job submit`), or one of our own on this machine.

Our own cluster listens for the dashboard on 127.0.0.1 only, demands a token that exists for this process alone, sends no usage data, and is gone afterwards.
Where Ray Train forms groups of several processes, the dashboard cannot be left out: Train frees the resources of a stopped group through its State API.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

from jobs.execution.connection.knock import knock
from jobs.execution.connection.lean_ray import lean_ray
from jobs.execution.connection.quiet_ray import own_sigterm, own_stderr, quiet_ray
from jobs.execution.connection.ray_address import ADVICE, check_address
from jobs.execution.connection.ray_watch import Describe, JoinedRay, OwnRay, RayWatch
from jobs.execution.connection.reaper import reaped_session_directory
from jobs.scheduling.resources import Node
from loretta_core.errors import ConfigError, InfrastructureError

OBJECT_STORE_BYTES = 150_000_000
"""Cells travel as a few kilobytes of JSON; models are loaded where they are used."""

ATEXIT_S = 1.0

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # The controller of a worker group looks every 2 s by default, several times over before the first cell: 10 s of waiting per start.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # 60 s by default, which four groups that start at once on a busy machine do not keep. Less than `train_executor.CLOSE_S`: the end of a sweep waits for it.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "100",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Ctrl-C is ours: Tune would drop the cells that are being written.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}


def cluster_address() -> str:
    """Return RAY_ADDRESS, "" where a sweep starts a Ray of its own."""
    address = os.environ.get("RAY_ADDRESS", "").strip()
    return "" if address == "local" else address


@contextmanager
def ray_session(describe_loss: Describe = str, *, process_groups: bool = True) -> Iterator[None]:
    """Connect to Ray; at the end disconnect, and stop what was started here.

    Args:
        describe_loss: what died → the message of the InfrastructureError.
        process_groups: whether Ray Train will be asked for groups of several processes. A Ray of our own has a dashboard for it alone.

    Raises ConfigError when there is no such cluster, or it refuses us, and InfrastructureError, within half a minute, when Ray dies in the block.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    address = cluster_address()
    if address:
        check_address(address)
    else:
        # A token in the environment, unlike Ray's default, leaves no readable file in the home directory. Ray remembers the first one for as long as the
        # process lives, so a second session must use it too.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray  # after the environment: Ray reads it once, when it is imported

    with nullcontext() if address else reaped_session_directory() as scratch:
        watch = RayWatch(OwnRay(), describe_loss)
        try:
            with quiet_ray(), watch.block():
                with own_sigterm(), own_stderr():
                    if scratch is None:
                        _join_cluster(address, knock(address))
                        watch.probe = _joined_ray()
                    else:
                        _start_cluster(str(scratch), dashboard=process_groups)
                yield
        finally:
            if watch.lost:
                _leave_dead_ray()
            else:
                ray.shutdown()
            watch.over()


def _leave_dead_ray() -> None:
    """Leave a Ray that is dead without `ray.shutdown`: where the raylet has gone, Ray's library ends the process in it, with exit code 1 and without a word.

    At the end of this process it would do so too, or wait for ever. So the process is ended before its turn comes, with the exit code of what happened; what is
    left of a Ray of our own ends with its session directory.
    """
    atexit.register(_end_process)  # the last one registered is called first
    threading.Thread(target=_end_after_main_thread, daemon=True).start()


def _end_after_main_thread() -> None:
    threading.main_thread().join()
    time.sleep(ATEXIT_S)  # the exit functions of others, if nothing hangs before them
    _end_process()


def _end_process() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(InfrastructureError.exit_code)


def nodes() -> list[Node]:
    """Return the living nodes of the connected cluster."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [_node(resources) for resources in alive]


def _node(resources: Mapping[str, float]) -> Node:
    """Read a node from its Ray resources. Ray counts 70 % of its free memory as `memory`; the rest is for Ray itself and what was there."""
    kind = next((name.partition(":")[2] for name in resources if name.startswith("accelerator_type:")), "")
    memory_bytes = int(resources.get("memory", 0.0) + resources.get("object_store_memory", 0.0))
    return Node(cpus=resources.get("CPU", 0.0), gpus=resources.get("GPU", 0.0), memory_bytes=memory_bytes, accelerator=kind)


def _join_cluster(address: str, found: str) -> None:
    """Join the Ray at HOST:PORT `found`, which RAY_ADDRESS means and which let us in a moment ago."""
    import ray
    import ray.exceptions

    try:
        ray.init(address=found, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        raise ConfigError(f"RAY_ADDRESS = {address}: the Ray there does not take us ({str(error).strip().splitlines()[0]}); {ADVICE}") from None


def _joined_ray() -> JoinedRay:
    import ray

    context = ray.get_runtime_context()
    here = next((node for node in ray.nodes() if node["NodeID"] == context.get_node_id()), {})
    return JoinedRay(context.gcs_address, raylet_socket=here.get("RayletSocketName", ""))


def _start_cluster(scratch: str, *, dashboard: bool) -> None:
    import ray

    try:
        with lean_ray(dashboard=dashboard):
            ray.init(
                address="local",
                include_dashboard=dashboard,
                dashboard_host="127.0.0.1",
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=scratch,
            )
    except Exception as error:  # a process edge: Ray raises whatever its processes ran into
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InfrastructureError(
            f"Ray could not be started on this machine ({reason}); is it very busy, or out of memory? Start the same command again"
        ) from None
