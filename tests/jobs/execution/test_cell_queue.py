"""The queue between trials and groups, on a bare event loop: no cell is lost, none is computed twice, no caller waits for ever."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from jobs.execution.cell_queue import CellQueue, Order
from jobs.failures.outcome import Outcome
from jobs.failures.retry import MAX_PROCESS_LOSSES
from loretta_core.config import CellConfig

TIMEOUT_S = 0.02


def play(scene: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine; a scene that hangs fails the test."""

    async def bounded() -> Any:
        return await asyncio.wait_for(scene, 10)

    return asyncio.run(bounded())


async def run(queue: CellQueue, name: str, text: str) -> Outcome:
    (outcome,) = await run_all(queue, (name, text))
    return outcome


async def run_all(queue: CellQueue, *cells: tuple[str, str]) -> list[Outcome]:
    return [outcome async for outcome in queue.run(cells)]


def work(*names: str) -> Order:
    return Order("work", tuple((name, f"json of {name}") for name in names))


async def ask(queue: CellQueue, *names: str) -> list[asyncio.Task[Outcome]]:
    tasks = [asyncio.create_task(run(queue, name, f"json of {name}")) for name in names]
    await asyncio.sleep(0.01)
    return tasks


def finished(name: str) -> Outcome:
    return Outcome(name, "finished")


def test_cells_go_out_in_order_and_outcomes_come_back_to_those_who_asked():
    async def scene():
        queue = CellQueue()
        tasks = await ask(queue, "a", "b")
        assert await queue.pull("g1", TIMEOUT_S) == work("a")
        assert await queue.pull("g2", TIMEOUT_S) == work("b")
        await queue.finish("g2", finished("b"))
        await queue.finish("g1", finished("a"))
        return [await task for task in tasks]

    assert play(scene()) == [finished("a"), finished("b")]


def test_a_waiting_group_gets_a_cell_the_moment_it_comes():
    async def scene():
        queue = CellQueue()
        pull = asyncio.create_task(queue.pull("g", 10))
        await asyncio.sleep(0.01)
        await ask(queue, "a")
        return await pull

    assert play(scene()).cells[0][0] == "a"


def test_a_lost_group_is_needed_only_while_a_cell_waits():
    async def scene():
        queue = CellQueue()
        seen = [await queue.has_waiting()]
        await ask(queue, "a")
        seen.append(await queue.has_waiting())
        await queue.pull("g", TIMEOUT_S)
        seen.append(await queue.has_waiting())
        await queue.on_group_lost("g", "killed")  # back in the queue
        return [*seen, await queue.has_waiting()]

    assert play(scene()) == [False, True, False, True]


def test_an_idle_pull_times_out():
    assert play(CellQueue().pull("g", TIMEOUT_S)) == Order("idle")


def test_asking_twice_computes_once():
    async def scene():
        queue = CellQueue()
        tasks = await ask(queue, "a", "a")
        await queue.pull("g", TIMEOUT_S)
        assert (await queue.pull("g2", TIMEOUT_S)).action == "idle"
        await queue.finish("g", finished("a"))
        late = await run(queue, "a", "json of a")
        assert (await queue.pull("g", TIMEOUT_S)).action == "idle"
        return [*[await task for task in tasks], late]

    assert play(scene()) == [finished("a")] * 3


def test_a_caller_that_stops_waiting_does_not_cancel_the_cell():
    async def scene():
        queue = CellQueue()
        (task,) = await ask(queue, "a")
        task.cancel()
        again = asyncio.create_task(run(queue, "a", "json of a"))
        await queue.pull("g", TIMEOUT_S)
        await queue.finish("g", finished("a"))
        return await again

    assert play(scene()) == finished("a")


def test_a_cell_whose_group_died_goes_first_and_only_so_often():
    async def scene():
        queue = CellQueue()
        killer, other = await ask(queue, "killer", "other")
        for attempt in range(MAX_PROCESS_LOSSES):
            assert not killer.done()
            assert (await queue.pull(f"g{attempt}", TIMEOUT_S)).cells[0][0] == "killer"
            assert await queue.on_group_lost(f"g{attempt}", "killed by signal 9")
        assert (await queue.pull("g-last", TIMEOUT_S)).cells[0][0] == "other"
        assert not other.done()
        return await killer

    outcome = play(scene())
    assert (outcome.status, outcome.kind) == ("failed", "infrastructure")
    assert f"{MAX_PROCESS_LOSSES} times: killed by signal 9" in outcome.message


def test_a_cell_that_runs_out_of_memory_is_tried_in_smaller_pieces(cell):
    async def scene():
        queue = CellQueue()
        task = asyncio.create_task(run(queue, cell().cell_id, cell("batch_size=16").to_json()))
        pieces = []
        for kind in ("memory", "memory", ""):
            order = await queue.pull("g", 1)
            pieces.append(CellConfig.from_json(order.cells[0][1]).engine.gradient_accumulation)
            await queue.finish("g", Outcome(order.cells[0][0], "failed" if kind else "finished", kind=kind))
        return pieces, await task

    pieces, outcome = play(scene())
    assert pieces == [1, 2, 4]
    assert (outcome.status, outcome.message) == ("finished", "after running out of memory: in 4 times as many pieces")


@pytest.mark.parametrize("kind", ["nan", "config", "error"])
def test_a_failure_that_would_come_again_is_final(kind, cell):
    async def scene():
        queue = CellQueue()
        task = asyncio.create_task(run(queue, cell().cell_id, cell().to_json()))
        order = await queue.pull("g", 1)
        await queue.finish("g", Outcome(order.cells[0][0], "failed", kind=kind, message="why"))
        return await task

    assert play(scene()).kind == kind


def test_preemptions_do_not_count_as_process_losses(cell):
    async def scene():
        queue = CellQueue()
        task = asyncio.create_task(run(queue, cell().cell_id, cell().to_json()))
        for attempt in range(5):
            order = await queue.pull(f"g{attempt}", 1)
            await queue.finish(f"g{attempt}", Outcome(order.cells[0][0], "failed", kind="preempted"))
        await queue.pull("g-lost", 1)
        await queue.on_group_lost("g-lost", "killed by signal 9")
        await queue.pull("g-last", 1)
        await queue.finish("g-last", finished(cell().cell_id))
        return await task

    assert play(scene()).status == "finished"


def test_losing_an_idle_group_says_that_it_held_nothing():
    assert play(CellQueue().on_group_lost("g", "gone")) is False


def test_a_lost_group_whose_pull_still_waits_gets_no_cell():
    async def scene():
        queue = CellQueue()
        stale_pull = asyncio.create_task(queue.pull("g1", 10))  # an actor call outlives its caller
        await asyncio.sleep(0.01)
        await queue.on_group_lost("g1", "killed while idle")
        (task,) = await ask(queue, "a")
        assert (await queue.pull("g2", TIMEOUT_S)).cells[0][0] == "a"
        assert (await stale_pull).action == "stop"
        await queue.finish("g2", finished("a"))
        return await task

    assert play(scene()) == finished("a")


def test_a_finish_of_a_group_that_was_given_up_changes_nothing():
    async def scene():
        queue = CellQueue()
        (task,) = await ask(queue, "a")
        await queue.pull("g1", TIMEOUT_S)
        await queue.on_group_lost("g1", "gone")
        await queue.finish("g1", Outcome("a", "failed", message="of a lost group"))
        await queue.pull("g2", TIMEOUT_S)
        await queue.finish("g2", finished("a"))
        return await task

    assert play(scene()) == finished("a")


def test_without_groups_everything_fails_with_the_reason():
    async def scene():
        queue = CellQueue()
        (before,) = await ask(queue, "before")
        await queue.fail_waiting("no group could be kept alive")
        return [await before, await run(queue, "after", "json of after")]

    for outcome in play(scene()):
        assert (outcome.status, outcome.kind, outcome.message) == ("failed", "infrastructure", "no group could be kept alive")


def test_a_cell_that_loses_the_last_group_fails_with_the_reason_instead_of_waiting_for_ever():
    async def scene():
        queue = CellQueue()
        (task,) = await ask(queue, "a")
        await queue.pull("g", TIMEOUT_S)
        await queue.fail_waiting("no group is left")
        await queue.on_group_lost("g", "gone")
        return await task

    assert play(scene()).message == "no group is left"


def test_stop_ends_waiting_and_later_pulls():
    async def scene():
        queue = CellQueue()
        pull = asyncio.create_task(queue.pull("g1", 10))
        await asyncio.sleep(0.01)
        await queue.stop(interrupt=False)
        return [await pull, await queue.pull("g2", 10), await queue.is_interrupted()]

    assert play(scene()) == [Order("stop"), Order("stop"), False]


def test_an_interrupt_ends_waiting_cells_and_leaves_the_running_one_to_its_group():
    async def scene():
        queue = CellQueue()
        running, waiting = await ask(queue, "running", "waiting")
        await queue.pull("g", TIMEOUT_S)
        await queue.stop(interrupt=True)
        assert await queue.is_interrupted()
        assert not running.done()
        late = await run(queue, "late", "json of late")
        await queue.finish("g", Outcome("running", "interrupted", message="at step 3"))
        return [await running, await waiting, late]

    running, waiting, late = play(scene())
    assert running.message == "at step 3"
    assert {waiting.status, late.status} == {"interrupted"}
    assert "before the cell began" in waiting.message


@pytest.mark.parametrize("groups", [1, 3])
def test_many_cells_over_few_groups_each_exactly_once(groups):
    async def scene():
        queue = CellQueue()
        seen = []

        async def group(name: str) -> None:
            while (order := await queue.pull(name, 10)).action == "work":
                seen.append(order.cells[0][0])
                await asyncio.sleep(0)
                await queue.finish(name, finished(order.cells[0][0]))

        workers = [asyncio.create_task(group(f"g{index}")) for index in range(groups)]
        outcomes = await asyncio.gather(*(run(queue, f"c{index}", "") for index in range(50)))
        await queue.stop(interrupt=False)
        await asyncio.gather(*workers)
        return seen, outcomes

    seen, outcomes = play(scene())
    assert sorted(seen) == sorted(f"c{index}" for index in range(50))
    assert outcomes == [finished(f"c{index}") for index in range(50)]


def test_a_pack_is_handed_out_as_one_and_its_cells_end_one_by_one():
    async def scene():
        queue = CellQueue()
        task = asyncio.create_task(run_all(queue, *((name, f"json of {name}") for name in "abc")))
        other = (await ask(queue, "d"))[0]
        assert await queue.pull("g1", TIMEOUT_S) == work("a", "b", "c")
        assert await queue.pull("g2", TIMEOUT_S) == work("d")
        await queue.finish("g1", finished("b"))
        assert (await queue.pull("g3", TIMEOUT_S)).action == "idle"
        for group, name in (("g1", "c"), ("g1", "a"), ("g2", "d")):
            await queue.finish(group, finished(name))
        return await task, await other

    assert play(scene()) == ([finished("b"), finished("c"), finished("a")], finished("d"))


def test_what_is_left_of_a_pack_whose_group_is_lost_is_tried_cell_by_cell():
    async def scene():
        queue = CellQueue()
        task = asyncio.create_task(run_all(queue, *((name, f"json of {name}") for name in "abc")))
        await queue.pull("g1", 1)
        await queue.finish("g1", finished("b"))
        assert await queue.on_group_lost("g1", "killed by signal 9")
        for name in "ac":
            assert await queue.pull("g2", TIMEOUT_S) == work(name)
            await queue.finish("g2", finished(name))
        return await task

    assert play(scene()) == [finished("b"), finished("a"), finished("c")]


def test_memory_that_a_pack_lacks_may_be_enough_for_each_of_its_cells(cell):
    cells = [cell("seed=0"), cell("seed=1")]

    async def scene():
        queue = CellQueue()
        task = asyncio.create_task(run_all(queue, *((each.cell_id, each.to_json()) for each in cells)))
        await queue.pull("g1", 1)
        await queue.on_group_lost("g1", "out of memory", kind="memory")
        for each in cells:
            order = await queue.pull("g2", TIMEOUT_S)
            assert order.cells == ((each.cell_id, each.to_json()),)
            await queue.finish("g2", finished(each.cell_id))
        return await task

    assert [outcome.message for outcome in play(scene())] == ["", ""]
