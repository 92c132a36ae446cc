"""The packs that Tune is given next: known ones in their order, and a search's further ones when all of these are over."""

import threading
from dataclasses import dataclass, field

from ray.tune.search import Searcher

from jobs.orchestration.tune_trials import PackSearcher
from loretta_core.config import CellConfig


@dataclass
class Concurrency:
    """Stands in for an executor: how many trials should run now."""

    at_once: int = 9


@dataclass
class Source:
    """A TrialSource with rounds of single cells, of which those with an allowed seed may start."""

    rounds: list = field(default_factory=list)
    has_rounds: bool = False
    last_seed: int = 99

    def next_packs(self):
        return [(cell,) for cell in self.rounds.pop(0)]

    def try_start(self, cell, *, pack_size):
        return cell.seed <= self.last_seed


def searcher(cells, *, executor=None, source=None, stop=None):
    return PackSearcher([(cell,) for cell in cells], source=source or Source(), executor=executor or Concurrency(), stop=stop or threading.Event())


def seed(suggestion):
    return CellConfig.from_json(suggestion["cells"][0]).seed


def test_without_a_search_the_end_is_said_while_cells_run(cell):
    given = searcher([cell("seed=0"), cell("seed=1")])
    assert [seed(given.suggest(str(index))) for index in range(2)] == [0, 1]
    assert given.suggest("2") == Searcher.FINISHED


def test_so_many_run_at_once_as_there_is_room_for_now(cell):
    executor = Concurrency(1)
    given = searcher([cell(f"seed={seed}") for seed in range(4)], executor=executor)
    assert seed(given.suggest("0")) == 0
    assert given.suggest("1") is None
    executor.at_once = 2
    assert seed(given.suggest("1")) == 1
    assert given.suggest("2") is None
    given.on_pack_over()
    assert seed(given.suggest("2")) == 2


def test_a_round_begins_when_the_one_before_is_over(cell):
    given = searcher([cell("seed=0"), cell("seed=1")], source=Source([[cell("seed=2"), cell("seed=3")], []], has_rounds=True))
    assert [seed(given.suggest(str(index))) for index in range(2)] == [0, 1]
    assert given.suggest("2") is None
    given.on_pack_over()
    assert given.suggest("2") is None
    given.on_pack_over()
    assert [seed(given.suggest(str(index))) for index in range(2, 4)] == [2, 3]
    assert given.suggest("4") is None
    given.on_pack_over()
    given.on_pack_over()
    assert given.suggest("4") == Searcher.FINISHED


def test_a_cell_that_may_not_start_ends_it(cell):
    given = searcher([cell("seed=0")], source=Source([[cell("seed=1")]], has_rounds=True, last_seed=0))
    given.suggest("0")
    given.on_pack_over()
    assert given.suggest("1") == Searcher.FINISHED


def test_a_pack_starts_as_far_as_its_cells_may(cell):
    pack = tuple(cell(f"seed={seed}") for seed in range(3))
    given = PackSearcher([pack], source=Source(last_seed=1), executor=Concurrency(), stop=threading.Event())
    assert [CellConfig.from_json(each).seed for each in given.suggest("0")["cells"]] == [0, 1]
    assert given.suggest("1") == Searcher.FINISHED


def test_nothing_starts_after_an_interrupt(cell):
    stop = threading.Event()
    given = searcher([cell("seed=0")], stop=stop)
    stop.set()
    assert given.suggest("0") == Searcher.FINISHED
