"""Lists on disk are lists: the same items, slices, draws and orders."""

import random

import pytest

from loretta_core.tasks.data.reading import disk_list
from loretta_core.tasks.data.reading.disk_list import DiskList, Mapped, chosen, kept
from loretta_core.tasks.data.rows import Row

ROWS = [Row({"text": f"text {number}" * (number % 7)}, number % 2, place=f"file:{number}") for number in range(50)]


def test_is_the_list(monkeypatch):
    monkeypatch.setattr(disk_list, "_BUFFER", 300)
    rows = DiskList(iter(ROWS), measure=lambda row: len(row.text["text"]))
    assert len(rows) == 50
    assert list(rows) == ROWS
    assert [rows[index] for index in (0, 49, -1, -50)] == [ROWS[index] for index in (0, 49, -1, -50)]
    assert list(rows[10:30:3]) == ROWS[10:30:3]
    assert list(rows[10:][5:8]) == ROWS[15:18]
    assert rows[3].place == "file:3"
    assert list(rows.measures) == [len(row.text["text"]) for row in ROWS]
    with pytest.raises(IndexError):
        rows[50]


def test_draws_what_a_list_draws():
    rows = DiskList(ROWS)
    indices = random.Random(1).sample(range(50), 20)
    assert list(chosen(rows, indices)) == chosen(ROWS, indices) == random.Random(1).sample(ROWS, 20)
    assert chosen(rows, indices)[-1] == ROWS[indices[-1]]


def test_maps_what_is_read():
    rows = Mapped(lambda row: row.label, DiskList(ROWS))
    assert list(rows) == [row.label for row in ROWS]
    assert (rows[3], list(rows[4:6]), len(rows)) == (1, [0, 1], 50)


def test_only_many_items_go_to_disk(monkeypatch):
    monkeypatch.setattr(disk_list, "LARGE_ROWS", 50)
    assert kept(iter(ROWS)) == ROWS
    more = kept(iter([*ROWS, ROWS[0]]))
    assert isinstance(more, DiskList)
    assert list(more) == [*ROWS, ROWS[0]]
