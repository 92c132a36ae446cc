"""The output directory: its mark, and how files in it are replaced.

OUT/FORMAT.json     the format of the directory
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

from loretta_core.errors import OutputError

OUTPUT_FORMAT = 1
"""Layout of the output directory, of sweep manifests and of the state of searches; raised when an older reader would misread them. Records have their own."""


def check_output_dir(out: Path) -> None:
    """Create the output directory, or make sure that it is ours and of this format. Raises OutputError and changes nothing otherwise."""
    marker = out / "FORMAT.json"
    if len(scheme := out.parts[0] if out.parts else "") > 2 and scheme.endswith(":"):
        raise OutputError(
            f"{scheme}//{'/'.join(out.parts[1:])}: the output directory needs a file system (locks, files that grow); give a local or shared directory with "
            f'--out, and mirror = "{scheme}//…" in the sweep file to have finished cells copied there'
        )
    try:
        if marker.is_file():
            _check_format(marker)
            return
        if marker.is_dir():
            raise OutputError(f"{marker}: damaged (it is a directory); {_WHAT_TO_DO}")
        if out.is_dir() and any(out.iterdir()):
            raise OutputError(f"{out}: not empty and not an output directory of ours (no FORMAT.json); give another one with --out")
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(marker, json.dumps({"format": OUTPUT_FORMAT}))
    except OSError as error:
        raise OutputError(f"{out}: cannot be used as output directory ({error.strerror}); give another one with --out") from None


def write_atomically(path: Path, text: str) -> None:
    """Replace a file (temporary file, fsync, rename): a reader sees the old one or the new one, never half of one.

    A directory of that name, which somebody made by mistake, is not deleted: it is renamed to NAME.damaged, NAME.damaged-2, …
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if path.is_dir() and not path.is_symlink():
        path.rename(_free_name(path))
    temporary.replace(path)


def _free_name(path: Path) -> Path:
    names = itertools.chain([f"{path.name}.damaged"], (f"{path.name}.damaged-{number}" for number in itertools.count(2)))
    return next(candidate for name in names if not (candidate := path.with_name(name)).exists())


_WHAT_TO_DO = f"this version writes {OUTPUT_FORMAT}; give another one with --out, or, if this one is ours, make it a file with the content " + json.dumps(
    {"format": OUTPUT_FORMAT}
)


def _check_format(marker: Path) -> None:
    try:
        given = json.loads(marker.read_text(encoding="utf-8"))["format"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise OutputError(f"{marker}: damaged (it does not say a format); {_WHAT_TO_DO}") from None
    if given != OUTPUT_FORMAT:
        raise OutputError(f"{marker.parent}: output directory of format {given!r}, this version writes {OUTPUT_FORMAT}; give another one with --out")
