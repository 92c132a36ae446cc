"""What Tune is given next: known cells in their order, and a search's further ones when all of these are over."""

import threading

from ray.tune.search import Searcher

from jobs.console.reporter import SweepReporter
from jobs.orchestration.cell_lifecycle import CellLifecycle
from jobs.orchestration.tune_trials import _Source
from jobs.scheduling.backlog import CellBacklog
from jobs.scheduling.resources import Node, group_spec_of
from loretta_core.config import CellConfig

NODES = [Node(cpus=4)]


def source(cells, *, at_once=lambda: 9, more=None, begins=lambda cell, together: True):
    return _Source([(cell,) for cell in cells], at_once, more and (lambda: [(cell,) for cell in more()]), begins, threading.Event())


def seed(suggestion):
    return CellConfig.from_json(suggestion["cells"][0]).seed


def test_without_a_search_the_end_is_said_while_cells_run(cell):
    given = source([cell("seed=0"), cell("seed=1")])
    assert [seed(given.suggest(str(index))) for index in range(2)] == [0, 1]
    assert given.suggest("2") == Searcher.FINISHED


def test_so_many_run_at_once_as_there_is_room_for_now(cell):
    room = [1]
    given = source([cell(f"seed={seed}") for seed in range(4)], at_once=lambda: room[0])
    assert seed(given.suggest("0")) == 0
    assert given.suggest("1") is None
    room[0] = 2
    assert seed(given.suggest("1")) == 1
    assert given.suggest("2") is None
    given.settled()
    assert seed(given.suggest("2")) == 2


def test_a_round_begins_when_the_one_before_is_over(cell):
    rounds = [[cell("seed=2"), cell("seed=3")], []]
    given = source([cell("seed=0"), cell("seed=1")], more=lambda: rounds.pop(0))
    assert [seed(given.suggest(str(index))) for index in range(2)] == [0, 1]
    assert given.suggest("2") is None
    given.settled()
    assert given.suggest("2") is None
    given.settled()
    assert [seed(given.suggest(str(index))) for index in range(2, 4)] == [2, 3]
    assert given.suggest("4") is None
    given.settled()
    given.settled()
    assert given.suggest("4") == Searcher.FINISHED


def test_what_may_not_begin_ends_it(cell):
    given = source([cell("seed=0")], more=lambda: [cell("seed=1")], begins=lambda each, together: each.seed == 0)
    given.suggest("0")
    given.settled()
    assert given.suggest("1") == Searcher.FINISHED


def ahead_of(out, rounds):
    return CellBacklog(CellLifecycle(out, "s", None, None, SweepReporter([])), lambda: NODES, lambda: rounds.pop(0) if rounds else [])


def test_a_shape_gets_further_cells_only_when_no_other_waits(cell, out):
    small, large = cell(), cell("engine.cpus=2")
    ahead = ahead_of(out, [[cell("seed=5"), cell("engine.cpus=2", "seed=5")]])
    ahead.add([small, large])
    assert ahead.next_shape() == (group_spec_of(large), [large])
    assert ahead.more(group_spec_of(large)) == []  # the small one is not over
    assert ahead.next_shape() == (group_spec_of(small), [small])
    assert [each.seed for each in ahead.more(group_spec_of(small))] == [5]
    shape, members = ahead.next_shape()
    assert (shape, [each.seed for each in members]) == (group_spec_of(large), [5])
    assert ahead.next_shape() is None
    assert ahead.placed == 4
