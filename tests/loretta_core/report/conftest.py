"""A synthetic output directory."""

import pytest

from tests.loretta_core.report.synthetic import fill


@pytest.fixture
def out(tmp_path):
    """The quickstart's grid; one cell failed and one never ran."""
    return fill(tmp_path / "outputs")
