"""The record of a cell: one JSON file that says everything about a run that is over.

A cell is finished if and only if its directory holds a valid record with status "finished". Records are written atomically (temporary file, fsync, rename),
carry the sha256 of their content, and are verified when read. Reports and the ledger read records, never logs.

    OUT/FORMAT.json                the format of the directory
    OUT/cells/<cell_id>/record.json
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json, to_json

from loretta_core.errors import OutputError

FORMAT = 1
"""Layout of the output directory and of records; raised when an older reader would misread them."""

RECORD_NAME = "record.json"


class Failure(BaseModel):
    """Why a cell failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """Class of the failure: nan, memory, config, infrastructure, error."""
    message: str
    """What happened, in words."""


class Record(BaseModel):
    """Everything about a cell that is over. Numbers that a failed cell never reached are None."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: int = FORMAT
    cell_id: str
    cell: dict[str, Any]
    """The resolved cell, every field."""
    status: Literal["finished", "failed"]
    score: float | None = None
    """Score on the test rows with the chosen checkpoint."""
    score_name: str = "accuracy"
    score_low: float | None = None
    """Lower end of the 95 % interval of the score."""
    score_high: float | None = None
    test_rows: int | None = None
    initial_score: float | None = None
    """Score before any training: zero-shot for a prompt, a random head otherwise."""
    validation_score: float | None = None
    """Best score on the validation rows; it chose the checkpoint."""
    best_step: int | None = None
    """Step of the chosen checkpoint; 0 means that no later one was better."""
    trainable_params: int | None = None
    total_params: int | None = None
    train_seconds: float | None = None
    """Time in optimizer steps, evaluation not included. For cells that are computed together, of each forward its share."""
    wall_seconds: float | None = None
    """From building the model to the end, evaluation included. For cells that are computed together, what it took itself and its share of the rest."""
    pack_id: str | None = None
    """Names the cells that were computed together with it, on one copy of the frozen model; None for a cell by itself."""
    pack_cells: int | None = None
    """How many they were, this one included. Peak memory is then that of all."""
    peak_memory_bytes: int | None = None
    """Device memory on a GPU, resident memory of the process on a CPU."""
    predicted_peak_memory_bytes: int | None = None
    """What the planner expected for the rows of this run, on a CPU with what the process held before; None for models it does not know."""
    step_seconds: float | None = None
    """Mean time of an optimizer step."""
    predicted_step_seconds: float | None = None
    """What the planner expected; None for models and devices it does not know."""
    steps: int | None = None
    forwards: int | None = None
    """Forward passes of a global batch in training."""
    skipped_steps: int | None = None
    """Zeroth-order steps whose loss was not finite; they changed nothing."""
    clipped_differences: int | None = None
    """Zeroth-order loss differences that `trainer.clip` changed."""
    signal_to_noise: float | None = None
    """Median of the last loss differences over the rounding of an fp32 loss; below about 10 the steps follow rounding errors."""
    update_gain: float | None = None
    """Share of a zeroth-order update that arrived in bf16 weights, last measured; 1 on average. None where weights are fp32 in one buffer."""
    curves: dict[str, list[tuple[int, float]]] = {}
    """train_loss, validation_loss, validation_score → [(step, value)]."""
    environment: dict[str, str] = {}
    adapter: str | None = None
    """Directory of the trained weights, relative to the cell's directory."""
    weights_sha256: str | None = None
    """Digest of the trained weights, fp32 in the optimizer's order; zeroth-order cells only. Replaying the log to `best_step` gives it again."""
    inputs_sha256: str | None = None
    """Digest of the data rows the cell saw."""
    predictions_sha256: str | None = None
    """Digest of predictions.json beside the record (`predictions.py`)."""
    error: Failure | None = None
    started_at: str | None = None
    """ISO 8601, UTC."""
    finished_at: str | None = None
    warnings: list[str] = []


def write_record(record: Record, directory: Path) -> Path:
    """Write `directory`/record.json atomically, with a digest of its content."""
    content = record.model_dump(mode="json")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / RECORD_NAME
    write_atomically(path, json.dumps({**content, "content_sha256": _digest(content)}, indent=1))
    return path


def read_record(directory: Path) -> Record:
    """Read and verify `directory`/record.json. Raises OutputError when it is missing, damaged, or of another format."""
    path = directory / RECORD_NAME
    try:
        content = from_json(path.read_bytes())  # half the time of json.loads, which counts for thousands of records
        digest = content.pop("content_sha256")
    except FileNotFoundError:
        raise OutputError(f"{path}: no such record") from None
    except (ValueError, KeyError, AttributeError, TypeError):
        raise OutputError(f"{path}: damaged (not a complete record); delete it to run the cell again") from None
    if content.get("format") != FORMAT:
        raise OutputError(f"{path}: format {content.get('format')!r}, this version reads {FORMAT}; use the version that wrote it, or another --out")
    if not _has_digest(content, digest):
        raise OutputError(f"{path}: its content does not match its sha256 (edited or damaged); delete it to run the cell again")
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        raise OutputError(f"{path}: not a record: {error.errors()[0]['msg']}") from None


def find_records(out: Path, cell_ids: Iterable[str] | None = None) -> dict[str, Record]:
    """Valid records of the given cells (or of all) by cell id; a cell without one, or with a damaged one, is left out."""
    cells = out / "cells"
    names = sorted(path.name for path in cells.glob("*") if path.is_dir()) if cell_ids is None else cell_ids
    found: dict[str, Record] = {}
    for name in names:
        try:
            found[name] = read_record(cells / name)
        except OutputError:
            continue
    return found


def find_cell(out: Path, text: str) -> Path:
    """The directory of the cell with this id, or these first digits of one. Raises OutputError when it names no cell or several."""
    exact = out / "cells" / text
    if text.isalnum() and exact.is_dir():
        return exact  # without looking at the names of ten thousand others
    found = sorted(path for path in (out / "cells").glob(f"{text}*") if path.is_dir()) if text.isalnum() else []
    if len(found) == 1:
        return found[0]
    raise OutputError(f"{text!r} names {len(found) or 'no'} cells in {out / 'cells'}; give the id that the report shows, or enough of its first digits")


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
        if out.is_dir() and any(out.iterdir()):
            raise OutputError(f"{out}: not empty and not an output directory of ours (no FORMAT.json); give another one with --out")
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(marker, json.dumps({"format": FORMAT}))
    except OSError as error:
        raise OutputError(f"{out}: cannot be used as output directory ({error.strerror}); give another one with --out") from None


def write_atomically(path: Path, text: str) -> None:
    """A reader sees the old file or the new one, never half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _check_format(marker: Path) -> None:
    try:
        given = json.loads(marker.read_text(encoding="utf-8")).get("format")
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        given = None
    if given != FORMAT:
        raise OutputError(f"{marker.parent}: output directory of format {given!r}, this version writes {FORMAT}; give another one with --out")


def _has_digest(content: dict[str, Any], digest: object) -> bool:
    """Whether the content has this digest. pydantic writes the same text as `json` in a twentieth of the time, unless it has a number such as 1e-05 or a letter
    beyond ASCII: then it is written again the slow way."""
    return digest == hashlib.sha256(to_json(_sorted(content))).hexdigest() or digest == _digest(content)


def _sorted(content: dict[str, Any]) -> dict[str, Any]:
    return {name: _sorted(value) if isinstance(value, dict) else value for name, value in sorted(content.items())}


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
