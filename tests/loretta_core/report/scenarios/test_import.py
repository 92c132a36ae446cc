"""Reading finished runs must not cost the import of torch, and a comparison on the terminal not that of matplotlib."""

import subprocess
import sys

import pytest

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
