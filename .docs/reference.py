"""The generated pages: configuration from the config classes, command line from its help, API from docstrings."""

from pathlib import Path

import api
import command_line
import configuration


def write_reference(directory: Path) -> None:
    """Write all generated pages into `directory`. Files whose text did not change are left alone, so that a second build is short."""
    pages = {
        **{f"configuration/{name}.md": text for name, text in configuration.pages().items()},
        "command-line.md": command_line.page(),
        **{f"api/{name}.md": text for name, text in api.pages().items()},
    }
    for old in directory.rglob("*.md"):
        if old.relative_to(directory).as_posix() not in pages:
            old.unlink()
    for name, text in pages.items():
        _write(directory / name, text)


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
