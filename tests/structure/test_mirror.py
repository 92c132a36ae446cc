"""Tests lie where the source lies: tests/PACKAGE/FOLDER/test_MODULE.py tests PACKAGE/FOLDER/MODULE.py."""

from tests.paths import ROOT

ELSEWHERE = {"scenarios", "laws", "golden", "benchmarks", "e2e", "gpu", "structure", "cluster", "docker"}
"""Folders of tests that run through several modules or test what is no module."""


def test_every_test_file_has_its_module():
    files = [path.relative_to(ROOT / "tests") for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    sources = {path: path.with_name(path.name.removeprefix("test_")) for path in files if not ELSEWHERE & {*path.parts}}
    lost = [f"tests/{path} (no {source})" for path, source in sources.items() if not (ROOT / source).exists()]
    assert not lost, "name a test file after its module and put it in the same folder below tests/, or into a folder scenarios/ there:\n" + "\n".join(lost)
