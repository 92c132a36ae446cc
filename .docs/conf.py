"""Sphinx's configuration of `make docs`. The sources are the README files where they lie; the reference is generated into build/reference before they are read.

Nothing is fetched while building or reading: the theme brings its own scripts, fonts are the system's. Warnings are errors (`-W` in the Makefile).
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import reference  # noqa: E402
import sources  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

project = "LoRETTA-on-Ray"
author = "the LoRETTA-on-Ray contributors"
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
root_doc = "README"
include_patterns = sources.PATTERNS
exclude_patterns = ["build/site", ".venv", "outputs", "dist"]
suppress_warnings = ["ref.python"]  # a type in a signature that several modules have: it is left without a link
myst_heading_anchors = 3
myst_links_external_new_tab = False
html_theme = "furo"
html_static_path = ["wide.css"]
html_css_files = ["wide.css"]
html_title = "LoRETTA-on-Ray"
html_copy_source = False
html_show_sphinx = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 110
toc_object_entries = False


def setup(app: Sphinx) -> dict[str, bool]:
    """Generate the reference before Sphinx looks for documents, and give every document what only the site needs."""
    reference.write_reference(ROOT / sources.REFERENCE)
    app.connect("source-read", sources.prepare)
    app.connect("build-finished", sources.write_index)
    return {"parallel_read_safe": True}
