"""The documents of the site and how the README files of the repository become its pages: the table of contents, links to folders, the entry page."""

import re
from pathlib import Path

from sphinx.application import Sphinx

REFERENCE = "build/reference"
"""Folder of the generated pages, relative to the repository."""

CONTENTS = {
    "Tutorial": ["jobs/sweeps/README"],
    "How-to": ["jobs/examples/README", "loretta_core/tasks/README", "cluster/README", "services/README"],
    "Reference": [f"{REFERENCE}/configuration/index", f"{REFERENCE}/command-line", f"{REFERENCE}/api/index"],
    "Explanation": ["jobs/ARCHITECTURE", "jobs/GLOSSARY", "jobs/README", "loretta_core/README", "loretta_core/*/README", "CONTRIBUTING", "CHANGELOG"],
}
"""Caption → documents (patterns) below it in the sidebar. A document that no entry names fails the build."""

PATTERNS = ["*.md", *(f"{room}/*.md" for room in ("cluster", "jobs", "jobs/*", "loretta_core", "loretta_core/*", "services", REFERENCE, f"{REFERENCE}/*"))]
_PROGRAM = re.compile(r"^\[`[^`]+`\]\((?P<path>[^)\s]+\.py)\)$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)#:\s]+)\)")


def prepare(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give the first page the table of contents, show programs that a line of their own links to, and turn links to folders into what the site has of them."""
    here = app.srcdir / Path(docname).parent
    text = _PROGRAM.sub(lambda link: _program(here / link["path"]), source[0])
    text = _LINK.sub(lambda link: _without_folders(link, here), text)
    source[0] = text + _tables_of_contents() if docname == app.config.root_doc else text


def _program(path: Path) -> str:
    """Return the text of a program as a block; a missing one fails the build."""
    return f"```python\n{path.read_text(encoding='utf-8').rstrip()}\n```"


def _without_folders(link: re.Match[str], here: Path) -> str:
    """Return the link to a folder as one to its README, or as its text where there is none; other links stay."""
    folder = here / link["target"]
    if not folder.is_dir():
        return link[0]
    return f"[{link['text']}]({link['target'].rstrip('/')}/README.md)" if (folder / "README.md").exists() else link["text"]


def _tables_of_contents() -> str:
    trees = []
    for caption, documents in CONTENTS.items():
        trees.append("\n".join(["```{toctree}", f":caption: {caption}", ":hidden:", ":glob:", "", *(f"/{document}" for document in documents), "```"]))
    return "\n\n" + "\n\n".join(trees) + "\n"


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Write index.html, which leads to the page of README.md."""
    if error is None and app.builder.format == "html":
        page = f'<!DOCTYPE html><meta charset="utf-8"><title>{app.config.html_title}</title><meta http-equiv="refresh" content="0; url=README.html">'
        (app.outdir / "index.html").write_text(page + '<a href="README.html">LoRETTA-on-Ray</a>\n', encoding="utf-8")
