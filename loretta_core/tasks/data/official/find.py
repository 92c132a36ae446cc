"""Finds the files of a split below a directory: a hub snapshot, files named as on the hub, or an official archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from loretta_core.errors import DataError
from loretta_core.tasks.data.benchmarks import Benchmark
from loretta_core.tasks.data.official.layouts import LAYOUTS, file_names
from loretta_core.tasks.data.reading.files import SUFFIXES, suffix_of

_LABEL = ".label"
"""Suffix of TREC's files."""


def find_split(directory: Path, task: str, benchmark: Benchmark, split: str) -> list[Path]:
    """Return the file of a split, or the Parquet shards of a hub snapshot. Raises DataError that names what is looked for."""
    if not directory.is_dir():
        raise DataError(f"task.path = {str(directory)!r}: no such directory (paths are relative to the directory the sweep is started in)")
    for folder in _folders(directory, task, benchmark):
        for name in file_names(task, split):
            files = [path for path in sorted(folder.iterdir()) if path.is_file() and _stem(path) == name.lower()]
            shards = files[:1] or sorted(folder.glob(f"{name}-*-of-*.parquet")) or _files_in(folder / name)
            if shards:
                return shards
    names = ", ".join(f"{name}.jsonl" for name in file_names(task, split))
    raise DataError(
        f"{directory}: no file for the split {split!r}; expected {names} (or .csv, .tsv, .parquet) there or in a folder {LAYOUTS[task].folder}, "
        f"or a snapshot of {benchmark.hub}"
    )


def _files_in(folder: Path) -> list[Path]:
    """Return the files of a split that has a folder: MMLU's has one for each subject."""
    return [path for path in sorted(folder.iterdir()) if path.is_file() and _stem(path) is not None] if folder.is_dir() else []


def _folders(directory: Path, task: str, benchmark: Benchmark) -> Iterator[Path]:
    named = {_plain(one) for one in (benchmark.part or "plain_text", "data", LAYOUTS[task].folder)}
    yield from (path for path in sorted(directory.iterdir()) if path.is_dir() and _plain(path.name) in named)
    yield directory


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _stem(path: Path) -> str | None:
    """Return the name of a file in lower case and without the suffix of a format that can be read; None for other files."""
    suffix = suffix_of(path)
    return path.name.lower().removesuffix(".gz").removesuffix(suffix) if suffix in (*SUFFIXES, _LABEL) else None
