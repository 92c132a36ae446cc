"""Reading finished runs must not cost the import of torch, and a comparison on the terminal not that of matplotlib."""

import subprocess
import sys

import pytest

from tests.loretta_core.report.synthetic import make_cell, make_record, write_sweep
from tests.paths import ROOT

HEAVY = ("torch", "transformers", "peft", "ray", "mlflow", "fastapi", "sklearn")


def loaded(code):
    """Top-level modules that are there after `code`, in a fresh interpreter."""
    script = f"{code}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    return set(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split())


def test_no_module_of_the_report_imports_torch():
    files = [path for room in ("report", "store") for path in (ROOT / "loretta_core" / room).rglob("*.py") if path.name != "__init__.py"]
    names = sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files)
    assert "loretta_core.report.figures.draw" in names
    assert not loaded("\n".join(f"import {name}" for name in names)) & set(HEAVY)


@pytest.mark.parametrize("module", ["report.compare", "store.records", "store.manifest", "report.tables", "report.adapter_docs.loading_code"])
def test_reading_needs_no_drawing(module):
    assert not loaded(f"import loretta_core.{module}") & {*HEAVY, "matplotlib", "jinja2", "numpy"}


@pytest.mark.parametrize(("seeds", "numpy"), [(1, False), (2, True)])
def test_numpy_is_imported_where_contenders_are_compared(seeds, numpy, tmp_path):
    cells = [make_cell(method, "adam", f"seed={seed}") for method in ("lora", "ft") for seed in range(seeds)]
    out = write_sweep(tmp_path / "out", records=[(cell, make_record(cell)) for cell in cells])
    found = loaded(f"from pathlib import Path; from loretta_core.report.compare import compare; compare(Path({str(out)!r}), name='sweep').text")
    assert ("numpy" in found) == numpy
    assert not found & {*HEAVY, "matplotlib", "jinja2"}
