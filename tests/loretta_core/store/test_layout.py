"""Cells are found by their id or by its first digits."""

import pytest

from loretta_core.errors import OutputError
from loretta_core.store.layout import cell_directory, find_cell


@pytest.fixture
def cells(tmp_path):
    for cell_id in ("0123abcd", "0123ffff", "4567abcd"):
        cell_directory(tmp_path, cell_id).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(("text", "cell_id"), [("0123abcd", "0123abcd"), ("0123a", "0123abcd"), ("4", "4567abcd")])
def test_found(cells, text, cell_id):
    assert find_cell(cells, text) == cells / "cells" / cell_id


@pytest.mark.parametrize(("text", "count"), [("0123", "2"), ("9", "no"), ("", "no"), ("../cells/4567abcd", "no"), ("*", "no")])
def test_what_names_no_cell_or_several_is_refused(cells, text, count):
    with pytest.raises(OutputError, match=f"names {count} cells"):
        find_cell(cells, text)
