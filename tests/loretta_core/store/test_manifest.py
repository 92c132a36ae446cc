"""The manifest of a sweep: what was asked for, and what to say when it cannot be read."""

import json
import os

import pytest

from loretta_core.config import SweepConfig
from loretta_core.errors import OutputError
from loretta_core.store.manifest import read_manifest, sweep_directory, sweep_names, write_manifest
from loretta_core.store.output_dir import OUTPUT_FORMAT
from tests.loretta_core.report.synthetic import make_cell

CELLS = (make_cell("lora", "adam", "method.r=4"), make_cell("loretta_adp", "zo_sgd", "seed=3"))


def write(out, **fields):
    return write_manifest(out, sweep=SweepConfig(**{"name": "s", "cells": CELLS, **fields}))


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_round_trip(tmp_path):
    write(tmp_path, description="ä < b", duplicates=("twice",), skipped=(("left out", "impossible"),))
    manifest = read_manifest(tmp_path, name="s")
    assert manifest.cells == tuple(cell.cell_id for cell in CELLS)
    assert [manifest.resolved[cell_id] for cell_id in manifest.cells] == list(CELLS)
    assert (manifest.description, manifest.duplicates) == ("ä < b", ("twice",))
    assert [(skipped.cell, skipped.reason) for skipped in manifest.skipped] == [("left out", "impossible")]


def test_every_field_is_on_disk(tmp_path):
    """A default that changes in a later version does not change what an old manifest says."""
    resolved = json.loads(write(tmp_path).read_text())["resolved"][CELLS[1].cell_id]
    assert resolved["method"]["bottleneck_size"] == 64
    assert resolved["precision"] == "fp32"


def test_ids_are_those_of_the_manifest(tmp_path):
    """A later version may compute another id for the same settings; the records lie under the old one."""
    path = write(tmp_path)
    path.write_text(path.read_text().replace(CELLS[0].cell_id, "0123456789abcdef"))
    assert read_manifest(tmp_path, name="s").cells[0] == "0123456789abcdef"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": OUTPUT_FORMAT + 1}, f"format {OUTPUT_FORMAT + 1}, this version reads {OUTPUT_FORMAT}"),
        ({"format": None}, "format None"),
        ({"cells": ["missing"]}, "names cell missing and does not resolve it"),
        ({"novelty": 1}, "novelty: .*edited, or written by another version"),
        ({"cells": 5}, "cells: "),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, changes, message):
    path = write(tmp_path)
    edit(path, **changes)
    with pytest.raises(OutputError, match=message) as error:
        read_manifest(tmp_path, name="s")
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_damaged_manifests_are_refused(tmp_path, content):
    path = write(tmp_path)
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"damaged.*start the sweep again"):
        read_manifest(tmp_path, name="s")


def test_an_unknown_sweep_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(OutputError, match=r"no sweep 'x'.*Sweeps there: none; start one with `loretta sweep FILE`"):
        read_manifest(tmp_path, name="x")
    write(tmp_path)
    with pytest.raises(OutputError, match=r"Sweeps there: s$"):
        read_manifest(tmp_path, name="x")


def test_the_most_recent_sweep_comes_first(tmp_path):
    for age, name in ((10, "new"), (30, "old"), (20, "middle")):
        os.utime(write(tmp_path, name=name), (1e9 - age, 1e9 - age))
    sweep_directory(tmp_path, name="not-a-sweep").mkdir()
    assert sweep_names(tmp_path) == ["new", "middle", "old"]
    assert sweep_names(tmp_path / "nowhere") == []
