"""`loretta replay` through its process."""

import pytest

from services import cli


@pytest.mark.integration
def test_replay_names_its_cell_or_says_so(results, capfd):
    assert cli.main(["replay", "zz", "--out", str(results)]) == 2
    assert "error: 'zz' names no cells" in capfd.readouterr().err
    cell = next((results / "cells").iterdir()).name
    assert cli.main(["replay", cell[:6], "--step", "3", "--out", str(results)]) == 2
    assert "only zeroth-order cells have one" in capfd.readouterr().err
