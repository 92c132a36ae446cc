"""The order of worker groups, and which cells of a search go to groups that are warm."""

from jobs.scheduling.backlog import CellBacklog
from jobs.scheduling.resources import group_spec_of


class Rounds:
    """Stands in for the lifecycle: rounds of admitted cells."""

    def __init__(self, *rounds):
        self._rounds = list(rounds)

    def next_round(self):
        return self._rounds.pop(0) if self._rounds else None


def test_a_group_gets_further_cells_only_when_none_wait_for_another(cell):
    small, large = cell(), cell("engine.cpus=2")
    backlog = CellBacklog(Rounds([cell("seed=5"), cell("engine.cpus=2", "seed=5")]))
    backlog.add([small, large])
    assert backlog.pop_largest() == (group_spec_of(large), [large])
    assert backlog.pop(group_spec_of(large)) == []  # the small one is not over
    assert backlog.pop_largest() == (group_spec_of(small), [small])
    assert [each.seed for each in backlog.pop(group_spec_of(small))] == [5]
    spec, members = backlog.pop_largest()
    assert (spec, [each.seed for each in members]) == (group_spec_of(large), [5])
    assert backlog.pop_largest() is None


def test_a_round_whose_cells_are_all_refused_is_followed_by_the_next(cell):
    backlog = CellBacklog(Rounds([], [], [cell()]))
    assert backlog.pop_largest() == (group_spec_of(cell()), [cell()])
    assert backlog.pop_largest() is None
