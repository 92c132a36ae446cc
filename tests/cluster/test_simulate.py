"""cluster/simulate.py on a small cluster: the same seed gives the same numbers, hours add up, and what it is meant to show is there."""

import asyncio

import pytest

from cluster.simulate import HOUR_S, WAYS, FakeClock, Simulation, World, main, sweep_cells
from jobs.storage.ledger import read_status

CELLS = sweep_cells(20)
SECONDS = {cell.cell_id: 300.0 for cell in CELLS}


def simulate(way, world, out):
    simulation = Simulation(way, world, CELLS, SECONDS, out)
    return simulation, simulation.run()


def test_the_clock_jumps_and_nobody_waits():
    async def sleepers():
        await asyncio.gather(asyncio.sleep(7200), asyncio.sleep(3600))
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=FakeClock) as runner:
        assert runner.run(sleepers()) == pytest.approx(7200)


def test_without_failures_it_is_arithmetic(tmp_path):
    """20 cells of 300 s on 8 GPUs: three each at most, behind one start (warm) or three (cold); the slow obvious twin is this sum."""
    calm = World(nodes=1, node_failures=0, out_of_memory=0, poison=0)
    warm, warm_s = simulate("warm", calm, tmp_path / "warm")
    _, cold_s = simulate("cold", calm, tmp_path / "cold")
    assert warm_s == pytest.approx(calm.start_s + 3 * (calm.overhead_s + 300), abs=1)
    assert warm.spent_s["starting"] == pytest.approx(8 * calm.start_s + 20 * calm.overhead_s)  # who has nothing to do waits, and does not start anew
    assert warm.spent_s["useful"] == pytest.approx(20 * 300)
    assert cold_s == pytest.approx(3 * (calm.start_s + calm.overhead_s + 300), abs=1)


@pytest.mark.parametrize("way", WAYS)
def test_under_failures_every_cell_is_over_and_hours_add_up(way, tmp_path):
    rough = World(nodes=1, node_failures=4.0, out_of_memory=0.2, poison=0.05)
    simulation, makespan_s = simulate(way, rough, tmp_path)
    now = read_status(tmp_path, CELLS)
    assert len(now.finished) + len(now.failed) == len(CELLS)
    assert {record.error.kind for record in now.failed.values()} <= {"infrastructure"}
    assert simulation.events["nodes lost"] + simulation.events["drivers"] > 1
    useful = sum(SECONDS[cell_id] for cell_id in now.finished)
    if way != "naive":  # a cell that failed may have left checkpoints
        assert simulation.spent_s["useful"] >= useful - 1e-6
    assert sum(simulation.spent_s.values()) <= 8 * makespan_s


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(tmp_path):
    world = World(nodes=1, node_failures=4.0)
    first, second = (simulate("warm", world, tmp_path / name) for name in ("a", "b"))
    other = simulate("warm", World(nodes=1, node_failures=4.0, seed=1), tmp_path / "c")
    assert (first[1], first[0].spent_s, first[0].events) == (second[1], second[0].spent_s, second[0].events)
    assert other[1] != first[1]


def test_a_checkpoint_saves_work(tmp_path):
    world = World(nodes=1, node_failures=4.0, out_of_memory=0, poison=0)
    lost = {way: simulate(way, world, tmp_path / way)[0].spent_s["repeated"] for way in ("cold", "naive")}
    assert lost["cold"] < lost["naive"] / 2


@pytest.mark.slow
def test_the_command_prints_a_line_per_way(capsys):
    assert main(["--cells", "16", "--nodes", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == list(WAYS)
    assert lines[0].startswith("16 cells, ")
    assert float(lines[2].split()[1]) * HOUR_S > 0
