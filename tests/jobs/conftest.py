"""Cells and output directories for the tests of the jobs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from loretta_core.config import CellConfig, cell_from_overrides
from loretta_core.report.records import check_output_dir

MakeCell = Callable[..., CellConfig]


@pytest.fixture
def cell() -> MakeCell:
    """A cell of the toy task; any setting can be given as `key=value`."""

    def make(*overrides: str) -> CellConfig:
        return cell_from_overrides(["model=toy-bert", "task=toy_sentiment", "method=lora", "trainer=adam", *overrides])

    return make


@pytest.fixture
def out(tmp_path) -> Path:
    """A fresh output directory."""
    check_output_dir(tmp_path / "out")
    return tmp_path / "out"
