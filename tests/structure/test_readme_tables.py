"""Every module of a package is in a table of the package's README, and every module of such a table exists."""

import re

import pytest

from tests.paths import ROOT
from tests.structure.source import modules

ROOMS = ("adapters", "assets", "config", "methods", "pack", "plan", "quantized", "report", "store", "tasks", "train", "tt", "zo")
PACKAGES = ("jobs", "jobs/examples", "services", "loretta_core", *(f"loretta_core/{room}" for room in ROOMS))
"""Folders whose README lists their modules. A module belongs to the nearest of them."""

_FIRST_CELL = re.compile(r"^\|([^|]*)\|", re.MULTILINE)
_MODULE = re.compile(r"`([\w./]+\.py)`")


def listed_modules(text: str) -> set[str]:
    """Return the `name.py` in code letters in the first cells of all tables."""
    return {name for cell in _FIRST_CELL.findall(text) for name in _MODULE.findall(cell)}


def own_modules(package: str) -> set[str]:
    """Return the modules below a package, as its README names them, without those of packages inside it."""
    inside = [ROOT / other for other in PACKAGES if other.startswith(f"{package}/")]
    return {path.relative_to(ROOT / package).as_posix() for path in modules(package) if not any(path.is_relative_to(other) for other in inside)}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_table_lists_the_modules(package):
    readme = ROOT / package / "README.md"
    assert readme.exists(), f"write {package}/README.md with a table `| module | holds |`"
    named, there = listed_modules(readme.read_text(encoding="utf-8")), own_modules(package)
    assert not there - named, f"add a row for each of these to the table in {package}/README.md: {sorted(there - named)}"
    assert not named - there, f"{package}/README.md lists modules that are not there; remove or rename the rows: {sorted(named - there)}"


def test_names_are_read_from_first_cells():
    text = "| module | holds |\n|---|---|\n| `a.py`, `b/c.py` | as in `d.py` |\n\n`e.py`\n"
    assert listed_modules(text) == {"a.py", "b/c.py"}
