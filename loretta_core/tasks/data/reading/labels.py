"""Labels as files have them → numbers 0 … C−1: numbers as text or floats, booleans, −1 and 1, 1 … C, or names, with case and blanks around them set right.

The order of labels is the config's where it names them, else that of the training file's integers, else the alphabet's. Whatever had to be inferred is told.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loretta_core.errors import DataError

MOST_NAMES = 1000
"""More different labels are taken for free texts or numbers."""


@dataclass(frozen=True)
class LabelNames:
    """The labels of a task: which cell means which."""

    names: tuple[str, ...]
    index_of: Mapping[int | str | None, int]
    """A cell's canonical form → the number of its label."""
    notes: tuple[str, ...] = field(default=())

    def index(self, value: Any, place: str) -> int:
        """Return the number of a cell's label. Raises DataError."""
        found = self.index_of.get(canonical(value, place))
        if found is None:
            given = "an empty cell" if empty(value) else repr(value)
            shown = ", ".join(name if name == str(index) else f"{index} {name}" for index, name in enumerate(self.names))
            raise DataError(f"{place}: label {given}, expected one of {shown}")
        return found

    def respelt(self, values: Iterable[Any]) -> tuple[str, ...]:
        """Return a note on the labels that are spelt otherwise than their names; none if all are spelt so."""
        others = [value for value in values if isinstance(value, str) and value not in self.names and isinstance(canonical(value, ""), str)]
        if not others:
            return ()
        shown = self.names[self.index_of[canonical(others[0], "")]]
        return (f"{len(others)} labels differ from their names in case or blanks only and are taken for them: {others[0]!r} for {shown!r}",)


def labels_of(values: Sequence[tuple[str, Any]], *, names: Sequence[str] | None, column: str) -> LabelNames:
    """Return the labels that a training file's cells stand for, given as (place, cell); `names` in their order if they are known. Raises DataError."""
    found = Counter(canonical(value, place) for place, value in values)
    if names is not None:
        return _named(names, {value for value in found if isinstance(value, int)})
    if None in found:
        place = next(place for place, value in values if canonical(value, place) is None)
        raise DataError(f"{place}: column {column!r} is an empty cell, expected a label")
    kept = {value for value in found if value is not None}
    fraction = next((value for value in kept if isinstance(value, str) and _is_number(value)), None)
    if fraction is not None:
        place = next(place for place, value in values if canonical(value, place) == fraction)
        raise DataError(f"{place}: label {fraction!r} is not a whole number; expected a class, or set task.regression = true for numbers")
    place = values[0][0].rpartition(":")[0]
    if len(kept) < 2:
        raise DataError(f"{place}: labels {sorted(map(str, kept))}, expected at least two")
    integers = sorted(value for value in kept if isinstance(value, int))
    if len(integers) == len(kept):
        return _numbered(integers, values, place)
    if integers:
        raise DataError(f"{place}: some labels are numbers ({integers[0]}) and some are texts; name them all in task.labels, in their order")
    return _alphabetical([str(value) for value in kept], values, place)


def canonical(value: Any, place: str) -> int | str | None:
    """Return a cell as an integer or a case-folded text without blanks around it; None if it is empty. Raises DataError for a number that is no integer."""
    if isinstance(value, bool):
        return str(value).casefold()
    if empty(value):
        return None
    if isinstance(value, str):
        try:
            number = float(value) if not value.strip().isalpha() and "_" not in value else math.nan
        except ValueError:
            number = math.nan
        return int(number) if number.is_integer() else " ".join(value.split()).casefold()
    if isinstance(value, float) and not value.is_integer():  # NaN and infinities, too
        raise DataError(f"{place}: label {value!r} is not a whole number; expected a class, or set task.regression = true for numbers")
    if isinstance(value, int | float):
        return int(value)
    raise DataError(f"{place}: label {value!r}, expected a number or a name")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def number_of(value: Any, place: str) -> float:
    """Return a cell as a finite number. Raises DataError."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        given = "an empty cell" if empty(value) else shortened(value)
        raise DataError(f"{place}: label {given}, expected a finite number")
    return number


def shortened(value: Any) -> str:
    """Return a cell as it is shown in messages: its beginning, where it is long."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"


def empty(value: Any) -> bool:
    """Return True for a missing cell and for a text of blanks."""
    return value is None or (isinstance(value, str) and not value.strip())


def _named(names: Sequence[str], integers: set[int]) -> LabelNames:
    """Return the labels that the config names. Integers in the file are names where the names are integers, else positions among them."""
    own = {canonical(name, "task.labels"): index for index, name in enumerate(names)}
    if None in own or len(own) < len(names):
        raise DataError(f"task.labels {list(names)}: two names are equal but for case and blanks, or one is empty")
    if any(isinstance(name, int) for name in own):
        return LabelNames(tuple(names), own)
    first = next((start for start in (0, 1) if integers <= set(range(start, len(names) + start))), 0)
    positions = {number: number - first for number in range(first, len(names) + first)}
    if len(names) == 2 and integers == {-1, 1}:
        positions = {-1: 0, 1: 1}
    shifted = integers and list(positions) != list(range(len(names)))
    told = (_order(positions, names),) if shifted else ()
    words = {"false": 0, "true": 1} if len(names) == 2 and not {"false", "true"} & own.keys() else {}
    return LabelNames(tuple(names), {**words, **positions, **own}, told)


def _numbered(integers: list[int], values: Sequence[tuple[str, Any]], place: str) -> LabelNames:
    """Return labels that are integers without a gap, or −1 and 1."""
    if integers != [-1, 1] and integers != list(range(integers[0], integers[0] + len(integers))):
        shown = ", ".join(f'"{number}"' for number in integers[:5])
        raise DataError(f"{place}: labels {integers[:10]}, expected the integers 0, 1, … without a gap; name those that there are: task.labels = [{shown}]")
    _check_few(len(integers), len(values), place)
    names = tuple(map(str, integers))
    index_of: dict[int | str | None, int] = {number: index for index, number in enumerate(integers)}
    return LabelNames(names, index_of, (_order(index_of),) if integers[0] != 0 else ())


def _alphabetical(keys: list[str], values: Sequence[tuple[str, Any]], place: str) -> LabelNames:
    """Return labels that are texts, each named by its usual spelling."""
    _check_few(len(keys), len(values), place)
    spellings: dict[str, Counter[str]] = {key: Counter() for key in sorted(keys)}
    for where, value in values:
        spellings[str(canonical(value, where))][" ".join(str(value).split())] += 1
    names = tuple(count.most_common(1)[0][0] for count in spellings.values())
    index_of: dict[int | str | None, int] = {key: index for index, key in enumerate(spellings)}
    return LabelNames(names, index_of, (f"task.labels names none: {_order(dict(zip(names, index_of.values(), strict=True)))}",))


def _check_few(labels: int, rows: int, place: str) -> None:
    if labels > MOST_NAMES or (rows > 20 and labels > rows / 2):
        raise DataError(f"{place}: {labels} different labels in {rows} rows; expected classes. For numbers set task.regression = true, for texts task.answer")


def _order(found: Mapping[Any, int], names: Sequence[str] = ()) -> str:
    """Return cell = number of each label, with its name if it has another; the middle of a long list is left out."""
    shown = [f"{cell} = {names[index] if names else index}" for cell, index in found.items()]
    return f"labels are {', '.join(shown if len(shown) <= 12 else [*shown[:10], '…', shown[-1]])}"
