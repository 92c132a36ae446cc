"""Test rows: held out without touching what chooses or trains, and texts that splits share."""

import pytest

from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.scored_rows import FEWEST_HELD_OUT, MOST_HELD_OUT, count_shared, hold_out


def rows(count: int, name: str = "row") -> list[Row]:
    return [Row({"text": f"{name} {index}"}, index % 2) for index in range(count)]


@pytest.mark.parametrize(
    ("train", "wanted", "held"), [(49, None, 0), (50, None, FEWEST_HELD_OUT), (250, None, 50), (250, 30, 30), (6000, None, MOST_HELD_OUT), (6000, 1100, 1100)]
)
def test_at_most_a_fifth_is_held_out(train, wanted, held):
    kept, test = hold_out(rows(train), validation=rows(5, "other"), wanted=wanted)
    assert (len(kept), len(test)) == (train - held, held)
    assert count_shared(test, others=kept) == 0


def test_rows_that_also_choose_the_checkpoint_are_not_held_out():
    kept, test = hold_out(rows(100), validation=rows(95), wanted=None)
    assert (len(kept), test) == (100, [])


def test_shared_texts_are_found_whatever_their_case_and_blanks():
    assert count_shared([Row({"text": " A  film"}, 0), Row({"text": "another"}, 1)], others=[Row({"text": "a Film"}, 1)]) == 1


def test_a_pair_is_shared_if_both_of_its_texts_are():
    pair = Row({"first": "a", "second": "b"}, 0)
    assert count_shared([pair], others=[Row({"first": "a", "second": "c"}, 0)]) == 0
    assert count_shared([pair], others=[Row({"first": "a", "second": "b"}, 1)]) == 1
