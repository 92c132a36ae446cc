"""Worker groups for tests: `run_workers(function, world, *arguments)` runs a function on every rank of a group of real processes over gloo."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any


def run_workers(function: Callable[..., Any], world: int, *arguments: Any, timeout_s: float = 240.0) -> list[Any]:
    """Run `function(rank, *arguments)` on every rank, and return the results in rank order. Raises the first exception of a rank."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [context.Process(target=_worker, args=(function, rank, world, port, results, arguments)) for rank in range(world)]
    for process in processes:
        process.start()
    try:
        found = dict(results.get(timeout=timeout_s) for _ in range(world))
    finally:
        for process in processes:
            process.join(20)
            process.kill()
    for answer in found.values():
        if isinstance(answer, BaseException):
            raise answer
    return [found[rank] for rank in range(world)]


def _worker(function: Callable[..., Any], rank: int, world: int, port: int, results: Any, arguments: tuple[Any, ...]) -> None:
    os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)})
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    try:
        results.put((rank, function(rank, *arguments)))
    except BaseException as error:
        results.put((rank, error))
