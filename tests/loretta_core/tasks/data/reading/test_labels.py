"""Labels as files have them: which cell means which, what is refused, what is told."""

import math

import pytest

from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.labels import labels_of, number_of


def found(*values, names=None):
    placed = [(f"a.csv:{line}", value) for line, value in enumerate(values, start=2)]
    labels = labels_of(placed, names=names, column="label")
    return labels, [labels.index(value, place) for place, value in placed]


KINDS = {
    "integers": ((0, 1, 2, 1), None, ("0", "1", "2"), [0, 1, 2, 1], ()),
    "texts of integers": (("0", " 1", "1"), None, ("0", "1"), [0, 1, 1], ()),
    "floats": ((0.0, "1.0", 1), None, ("0", "1"), [0, 1, 1], ()),
    "booleans": ((True, False), None, ("False", "True"), [1, 0], ("task.labels names none: labels are False = 0, True = 1",)),
    "signs": ((-1, "1", -1), None, ("-1", "1"), [0, 1, 0], ("labels are -1 = 0, 1 = 1",)),
    "from one": (("1", "2", "3"), None, ("1", "2", "3"), [0, 1, 2], ("labels are 1 = 0, 2 = 1, 3 = 2",)),
    "names": (("pos", "neg", "Pos ", "pos"), None, ("neg", "pos"), [1, 0, 1, 1], ("task.labels names none: labels are neg = 0, pos = 1",)),
    "given names": (("POS", "neg"), ("neg", "pos"), ("neg", "pos"), [1, 0], ()),
    "given names and positions": ((1, 0), ("neg", "pos"), ("neg", "pos"), [1, 0], ()),
    "given names and positions from one": ((1, 2), ("neg", "pos"), ("neg", "pos"), [0, 1], ("labels are 1 = neg, 2 = pos",)),
    "given names and signs": ((1, -1), ("neg", "pos"), ("neg", "pos"), [1, 0], ("labels are -1 = neg, 1 = pos",)),
    "given names and booleans": ((True, False), ("no", "yes"), ("no", "yes"), [1, 0], ()),
    "numbers as names": ((0, 4, 4), ("0", "4"), ("0", "4"), [0, 1, 1], ()),
    "numbers as names in another order": ((0, 1), ("1", "0"), ("1", "0"), [1, 0], ()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_labels_mean(kind):
    values, given, names, indices, notes = KINDS[kind]
    labels, got = found(*values, names=given)
    assert (labels.names, got, labels.notes) == (names, indices, notes)


def test_spelling_is_told():
    labels, _ = found("pos", "neg")
    assert labels.respelt([" Pos", "neg", "NEG", 1]) == ("2 labels differ from their names in case or blanks only and are taken for them: ' Pos' for 'pos'",)
    assert labels.respelt(["pos", "neg"]) == ()


BAD = {
    "a gap": ((0, 2), None, r"labels \[0, 2\], expected the integers 0, 1, .*task.labels = \[\"0\", \"2\"\]"),
    "one label": ((1, 1), None, r"labels \['1'\], expected at least two"),
    "empty": ((0, None, 1), None, r"a.csv:3: column 'label' is an empty cell"),
    "blank": ((0, " ", 1), None, r"a.csv:3: column 'label' is an empty cell"),
    "a fraction": ((0, 0.5), None, r"a.csv:3: label 0.5 is not a whole number; .*task.regression"),
    "a fraction as text": (("0", "0.5"), None, r"a.csv:3: label '0.5' is not a whole number; .*task.regression"),
    "nothing": ((0, math.nan), None, r"a.csv:3: label nan is not a whole number"),
    "both": (("neg", 1), None, r"some labels are numbers \(1\) and some are texts"),
    "texts": (tuple(map("word {}".format, range(30))), None, r"30 different labels in 30 rows; expected classes"),
    "a list": (([1], 0), None, r"a.csv:2: label \[1\], expected a number or a name"),
    "unknown": (("neg", "maybe"), ("neg", "pos"), r"a.csv:3: label 'maybe', expected one of 0 neg, 1 pos"),
    "too large": ((0, 7), ("neg", "pos"), r"a.csv:3: label 7, expected one of 0 neg, 1 pos"),
    "equal names": ((0, 1), ("neg", "Neg "), r"two names are equal but for case and blanks"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_refused(kind):
    values, names, message = BAD[kind]
    with pytest.raises(DataError, match=message):
        found(*values, names=names)


def test_numbers():
    assert [number_of(value, "") for value in (1, 2.5, "1e-3", " -4 ")] == [1.0, 2.5, 0.001, -4.0]
    for value in (math.nan, math.inf, 10**400, "nan", "-inf", "much", True, None, ""):
        with pytest.raises(DataError, match=r"a.csv:2: label .*, expected a finite number"):
            number_of(value, "a.csv:2")
