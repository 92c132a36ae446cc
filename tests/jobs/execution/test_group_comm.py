"""Communication between the processes of a group: two real processes over gloo."""

import multiprocessing
import socket
from datetime import timedelta

import pytest

from jobs.execution import group_comm as module
from jobs.execution.cell_queue import Order
from jobs.execution.group_comm import GroupBroken, MultiProcess, SingleProcess
from jobs.failures.outcome import Outcome

ORDER = Order("work", (("c", "{}"),))
FINE, BROKEN = Outcome("c", "finished"), Outcome("c", "failed", kind="nan", message="the loss is nan")


def test_a_single_process_exchanges_nothing():
    assert SingleProcess().broadcast(lambda: ORDER) == ORDER
    assert SingleProcess().consensus(BROKEN) == BROKEN
    assert SingleProcess().max(2) == 2


def three_cells(rank: int, results, over) -> None:
    group = MultiProcess(rank, 2)
    order = group.broadcast(lambda: ORDER if rank == 0 else pytest.fail("only rank 0 asks"))
    assert [group.max(number) for number in (0, rank, 5 - rank)] == [0, 1, 5]
    results.put((rank, order, [group.consensus(outcome) for outcome in (FINE, BROKEN if rank == 1 else FINE, FINE)]))


def stuck(rank: int, results, over) -> None:
    module.FAILURE_TIMEOUT = timedelta(seconds=1)
    group = MultiProcess(rank, 2)
    if rank == 1:
        over.wait(60)  # in its cell, in a collective that rank 0 has left
        return
    try:
        group.consensus(BROKEN)
    except GroupBroken as error:
        results.put(str(error))


@pytest.mark.integration
def test_every_rank_gets_the_order_of_rank_0_and_the_outcome_of_all():
    found = play(three_cells, answers=2)
    assert [(rank, order) for rank, order, _ in found] == [(0, ORDER), (1, ORDER)]
    for _, _, outcomes in found:
        assert [outcome.status for outcome in outcomes] == ["finished", "failed", "finished"]
        assert outcomes[1].message == "rank 1 of 2: the loss is nan"


@pytest.mark.integration
def test_a_rank_that_failed_does_not_wait_for_ever_for_one_that_is_stuck():
    (message,) = play(stuck, answers=1)
    assert message.startswith("rank 0 waited 0:00:01 for the others after its cell failed the loss is nan")


def play(scene, *, answers: int) -> list:
    """Run `scene` on two ranks; what they answered, by rank."""
    context = multiprocessing.get_context("spawn")
    results, over = context.Queue(), context.Event()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [context.Process(target=in_group, args=(scene, rank, port, results, over)) for rank in range(2)]
    for process in processes:
        process.start()
    try:
        return sorted((results.get(timeout=90) for _ in range(answers)), key=str)
    finally:
        over.set()
        for process in processes:
            process.join(30)
            process.kill()


def in_group(scene, rank: int, port: int, results, over) -> None:
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    scene(rank, results, over)
