"""The documentation builds without a warning, and is read without a network."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.paths import ROOT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(find_spec("furo") is None, reason="the documentation needs its generator: pip install -c constraints.txt -e '.[docs]'"),
]
FETCHED = re.compile(r"""<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=["'](?:https?:)?//[^"']*["']|@import[^;]*//|url\(["']?(?:https?:)?//""")
"""What a browser would fetch from elsewhere while it shows a page."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "-c", ".docs", "-d", str(directory / "doctrees"), ".", str(directory / "site")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert built.returncode == 0, f"make docs fails; mend what it warns of:\n{built.stderr}"
    return directory / "site"


def test_every_kind_of_page_is_there(site):
    pages = ["README", "jobs/sweeps/README", "jobs/examples/README", "jobs/ARCHITECTURE", "jobs/GLOSSARY", "CONTRIBUTING"]
    reference = ["configuration/method", "configuration/sweep", "command-line", "api/loretta_core.zo", "api/jobs", "api/services"]
    for page in [*pages, *(f"build/reference/{name}" for name in reference)]:
        assert (site / f"{page}.html").exists(), f"no page {page}"
    assert "README.html" in (site / "index.html").read_text(encoding="utf-8")


def test_the_reference_is_that_of_the_code(site):
    method = (site / "build/reference/configuration/method.html").read_text(encoding="utf-8")
    assert "Rank of the tensor-train cores" in method
    assert "--dry-run" in (site / "build/reference/command-line.html").read_text(encoding="utf-8")
    assert "ZOSGD" in (site / "build/reference/api/loretta_core.zo.html").read_text(encoding="utf-8")


def test_no_page_fetches_anything_from_elsewhere(site):
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    fetched = {str(path.relative_to(site)): found for path in files if (found := FETCHED.findall(path.read_text(encoding="utf-8")))}
    assert not fetched
