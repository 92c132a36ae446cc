"""The part of `loretta doctor` that reads the files of an output directory: which ones are damaged, which cells that concerns, and what to do.

    records, predictions, adapters      against their sha256
    cell.json, metrics.jsonl            whether they are what their cell wrote
    sweep.json, search.json, stopped/   whether a sweep could read them

Records come first, since they alone decide what is finished; adapters come last, since gigabytes of them are read whole.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loretta_core.errors import OutputError
from loretta_core.findings import Finding
from loretta_core.store.adapter_files import check_adapter
from loretta_core.store.early_stops import find_early_stops
from loretta_core.store.layout import cell_directory
from loretta_core.store.manifest import MANIFEST_NAME, read_manifest
from loretta_core.store.predictions import find_predictions
from loretta_core.store.record_files import RECORD_NAME, cell_names, find_records
from loretta_core.store.records import Record
from loretta_core.store.search_state import check_search_state
from loretta_core.train.sinks import JOURNAL_NAME

RUN_AGAIN = f"delete {RECORD_NAME} of the cell and start its sweep again: the cell runs again, the others stay finished"

_CELL_ID = re.compile(r"[0-9a-f]{16}")
_CELL_KEYS = {"model", "task", "method", "trainer"}
_TAIL_BYTES = 65536


def damage_findings(out: Path) -> Iterator[Finding]:
    """Read and verify the files of all cells and sweeps: one finding per damaged file, and one per kind of file where none is."""
    names = cell_names(out)
    found = find_records(out, [*names, *_strays(out, names)])
    yield from _findings("record", found.damaged, of=len(found.records) + len(found.damaged), advice=RUN_AGAIN)
    predictions = find_predictions(out, found.records)
    yield from _findings("predictions", predictions.damaged, of=len(predictions.predictions) + len(predictions.damaged), advice=RUN_AGAIN)
    yield from _findings("settings", _damaged_settings(out, names), of=len(names), advice="delete it; the next start of the cell writes it again")
    finished = {name: record for name, record in found.records.items() if record.status == "finished"}
    yield from _findings("journal", _damaged_journals(out, finished), of=len(finished), advice="delete it: score and curves are in the record")
    yield from _sweep_findings(out)
    saved = {name: record for name, record in finished.items() if record.adapter is not None}
    yield from _findings("adapter", damaged_adapters(out, saved), of=len(saved), advice=RUN_AGAIN)


def damaged_adapters(out: Path, saved: Mapping[str, Record], *, threads: int | None = None) -> dict[str, str]:
    """Return cell → what is wrong with its adapter, for the cells whose adapter is not what their record says.

    Args:
        saved: records of cells with an adapter.
        threads: adapters that are read at once, None for one a core: SHA-256 lets go of the interpreter's lock, and takes most of the time.
    """

    def check(name: str) -> None:
        check_adapter(cell_directory(out, name) / (saved[name].adapter or ""), digest=saved[name].digests.adapter)

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        checks = {name: pool.submit(check, name) for name in saved}
        return _refused(saved, lambda name: checks[name].result())


def _findings(what: str, damaged: Mapping[str, str], *, of: int, advice: str) -> Iterator[Finding]:
    """Yield one problem per damaged file, or that there is none."""
    if not damaged:
        yield Finding(what, "ok", f"none is damaged, of {of}")
    for reason in damaged.values():
        yield Finding(what, "problem", reason, advice)


def _strays(out: Path, names: Iterable[str]) -> list[str]:
    """Return the cells that have something else where their directory should be: a file, a link to nowhere."""
    found = (path.name for path in (out / "cells").iterdir()) if (out / "cells").is_dir() else ()
    return sorted({name for name in found if _CELL_ID.fullmatch(name)} - {*names})


def _damaged_settings(out: Path, names: Iterable[str]) -> dict[str, str]:
    return _damaged({name: cell_directory(out, name) / "cell.json" for name in names}, _check_settings)


def _check_settings(path: Path) -> None:
    """Check that a cell.json is the settings of a cell; whether this version still has all of its fields does not matter."""
    content = json.loads(path.read_bytes())
    if not (isinstance(content, dict) and content.keys() >= _CELL_KEYS):
        raise ValueError("not the settings of a cell")


def _damaged_journals(out: Path, finished: Iterable[str]) -> dict[str, str]:
    return _damaged({name: cell_directory(out, name) / JOURNAL_NAME for name in finished}, _check_journal)


def _check_journal(path: Path) -> None:
    """Check that a journal ends in a complete line. A line in its middle may be torn: a process was killed there, and another one went on."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        tail = file.read()
    last = json.loads(tail.splitlines()[-1]) if tail.endswith(b"\n") else None
    if not (isinstance(last, dict) and ("step" in last or "status" in last)):
        raise ValueError("its last line is not one of a journal")


def _damaged(paths: Mapping[str, Path], check: Callable[[Path], None]) -> dict[str, str]:
    """Check files of cells; one that is not there is not damaged."""
    damaged: dict[str, str] = {}
    for name, path in paths.items():
        try:
            check(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            damaged[name] = f"{path}: damaged (cannot be read: {error.strerror})"
        except (ValueError, UnicodeDecodeError) as error:
            damaged[name] = f"{path}: damaged ({'not JSON' if isinstance(error, json.JSONDecodeError) else error})"
    return damaged


def _sweep_findings(out: Path) -> Iterator[Finding]:
    """Check manifests, states of searches and early stops."""
    names = sorted(path.parent.name for path in (out / "sweeps").glob(f"*/{MANIFEST_NAME}"))
    advice = "start the sweep again, which rewrites it; its finished cells stay finished"
    yield from _findings("sweep", _refused(names, lambda name: read_manifest(out, name=name)), of=len(names), advice=advice)
    yield from _findings("search", _refused(names, lambda name: check_search_state(out, name=name)), of=len(names), advice=advice)
    stops = [find_early_stops(out, name=name) for name in names]
    damaged = {reason: reason for found in stops for reason in found.damaged.values()}
    yield from _findings("early stop", damaged, of=sum(len(found.stops) for found in stops), advice="delete it: the cell goes on where it was stopped")


def _refused(names: Iterable[str], check: Callable[[str], object]) -> dict[str, str]:
    """Return name → message for the names whose check raises OutputError."""
    refused: dict[str, str] = {}
    for name in names:
        try:
            check(name)
        except OutputError as error:
            refused[name] = str(error)
    return refused
