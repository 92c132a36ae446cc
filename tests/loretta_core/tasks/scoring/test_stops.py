"""Where an answer ends."""

import pytest

from loretta_core.errors import DataError
from loretta_core.tasks.scoring.stops import answer_in, check_stops, ends


@pytest.mark.parametrize(
    ("text", "stops", "expected", "ended"),
    [
        ("two lines\nof text", [], "two lines\nof text", False),
        ("one\ntwo", ["\n"], "one", True),
        ("\n\n one\ntwo", ["\n"], "one", True),
        ("\n \n", ["\n"], "", False),
        ("a<end>b", ["<stop>", "<end>"], "a", True),
        ("a\n\nQ: b", ["Q:", "\n\n"], "a", True),
    ],
)
def test_answers_end_at_the_first_stop(text, stops, expected, ended):
    assert answer_in(text, stops) == expected
    assert ends(text, stops) is ended


def test_a_reference_with_a_stop_in_it_is_refused():
    check_stops("\nyes\n", ["\n"], "a:1")
    with pytest.raises(DataError, match=r"a:1: the answer .* holds '\\n', at which writing ends"):
        check_stops("yes\nno", ["\n"], "a:1")
