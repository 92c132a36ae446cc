"""Manifest of a sweep: the cells that it consists of, in OUT/sweeps/<name>/sweep.json.

It names the cells of a sweep; their records lie in OUT/cells, shared by all sweeps. The manifest is written before the first cell starts, so that a comparison
can say which cells are missing. The sweep that wrote its manifest last is the most recent one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from loretta_core.config import CellConfig, SweepConfig
from loretta_core.config.sweep.contenders import GridContender
from loretta_core.config.sweep.load import SinkName
from loretta_core.config.sweep.protocol import Decide
from loretta_core.errors import OutputError
from loretta_core.store.output_dir import OUTPUT_FORMAT, write_atomically

MANIFEST_NAME = "sweep.json"

SWEEP_FILE_NAME = "sweep.toml"
"""Copy of the sweep file beside the manifest, with the overrides of its last start; a sweep that was made in Python has none."""


class Skipped(BaseModel):
    """A combination that the sweep left out."""

    cell: str
    reason: str


class Contender(BaseModel):
    """A point of the grid: what is compared. Seeds are no contenders, and neither are the settings that were tried for one."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """What tells it from the others: `lora · adam`, with model and task where these vary."""
    trials: tuple[str, ...] = ()
    """Ids of the cells that were tried on validation rows, in their order; empty where nothing is tuned."""
    winner: str | None = None
    """Id of the trial whose settings the replicates have; None: not tuned, or not decided yet."""
    replicates: tuple[str, ...] = ()
    """Ids of the cells that are scored on the test rows, which differ in their seed alone."""
    trials_wanted: int | None = None
    """Number of trials, of which later ones may still have to be suggested by results; None where nothing is tuned."""
    eliminated_at: int | None = None
    """Number of seeds after which a race ended for the contender; None: it was not eliminated."""
    notes: tuple[str, ...] = ()
    """What people should know of its tuning: a near-tie and its alternative, a best value at the edge of its range, trials taken from another sweep."""


class RaceSeeds(BaseModel):
    """The seeds that a race trained, and those of the full grid: the difference is what it saved."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    looks: tuple[int, ...]
    """Numbers of seeds after which contenders were compared, fixed in advance."""
    trained: int
    """Replicates so far."""
    full: int
    """Replicates that these contenders would have with the largest number of seeds each."""


class Manifest(BaseModel):
    """The cells of a sweep, in the order of its axes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format: int = OUTPUT_FORMAT
    name: str
    description: str = ""
    cells: tuple[str, ...]
    """Ids as they were when the sweep was written; a later version might compute others."""
    resolved: dict[str, CellConfig]
    """Every field of every cell, by id."""
    duplicates: tuple[str, ...] = ()
    """Labels of cells that the sweep named more than once."""
    skipped: tuple[Skipped, ...] = ()
    contenders: tuple[Contender, ...] = ()
    """Empty in sweeps without [tune] and [replicate]: then cells that differ in their seed alone are replicates of one contender."""
    decide: Decide = Decide()
    algorithm: Literal["random", "optuna"] = "random"
    """How the trials of a contender were chosen."""
    usd_per_hour: float | None = None
    """Price of a device (a GPU, else a worker), `budget.usd_per_hour` of the sweep file; None: costs in money are not known."""
    race: RaceSeeds | None = None
    """None without a race."""
    sinks: tuple[SinkName, ...] = ("mlflow",)
    """Where the metrics of its cells are sent."""
    max_upload_mib: float = 100.0
    """Trained weights up to this size are copied to MLflow."""


def sweep_directory(out: Path, *, name: str) -> Path:
    """Return the directory that keeps the manifest, report and figures of a sweep."""
    return out / "sweeps" / name


def manifest_of(sweep: SweepConfig, *, names: Sequence[str] | None = None) -> Manifest:
    """Return the manifest of a sweep.

    Args:
        names: of its contenders, in their order; None takes the labels of their cells.
    """
    names = names or [contender.cell.label for contender in sweep.contenders]
    return Manifest(
        name=sweep.name,
        description=sweep.description,
        cells=tuple(cell.cell_id for cell in sweep.cells),
        resolved={cell.cell_id: cell for cell in sweep.cells},
        duplicates=sweep.duplicates,
        skipped=tuple(Skipped(cell=cell, reason=reason) for cell, reason in sweep.skipped),
        algorithm="optuna" if sweep.rounds or (sweep.tune and sweep.tune.algorithm == "optuna") else "random",
        usd_per_hour=sweep.budget.usd_per_hour if sweep.budget else None,
        contenders=tuple(_contender(found, name) for found, name in zip(sweep.contenders, names, strict=True)),
        decide=sweep.decide,
        race=_race(sweep),
        sinks=sweep.sinks,
        max_upload_mib=sweep.max_upload_mib,
    )


def write_manifest(out: Path, *, sweep: SweepConfig, names: Sequence[str] | None = None) -> Path:
    """Write the manifest of a sweep atomically; `names` as for `manifest_of`."""
    path = sweep_directory(out, name=sweep.name) / MANIFEST_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    if sweep.text:
        write_atomically(path.with_name(SWEEP_FILE_NAME), sweep.text)
    write_atomically(path, manifest_of(sweep, names=names).model_dump_json(indent=1))
    return path


def _contender(found: GridContender, name: str) -> Contender:
    return Contender(
        name=name,
        trials=tuple(trial.cell_id for trial in found.trials),
        winner=found.winner,
        replicates=tuple(cell.cell_id for cell in found.replicates),
        trials_wanted=found.count if found.tuned else None,
        eliminated_at=found.eliminated_at,
        notes=found.notes,
    )


def _race(sweep: SweepConfig) -> RaceSeeds | None:
    if sweep.replicate is None or not sweep.replicate.looks:
        return None
    decided = [contender for contender in sweep.contenders if contender.decided]
    full = sweep.replicate.most * len(decided)
    return RaceSeeds(looks=tuple(sweep.replicate.looks), trained=sum(contender.seeds for contender in decided), full=full)


def read_manifest(out: Path, *, name: str) -> Manifest:
    """Read and check the manifest of a sweep. Raises OutputError when there is none, or when it is damaged or of another version."""
    path = sweep_directory(out, name=name) / MANIFEST_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        given = content.get("format")
    except FileNotFoundError:
        known = ", ".join(sweep_names(out)) or "none; start one with `loretta sweep FILE`"
        raise OutputError(f"no sweep {name!r} in {out}. Sweeps there: {known}") from None
    except OSError as error:
        raise OutputError(f"{path}: damaged (cannot be read: {error.strerror}); make it readable, or start the sweep again to rewrite it") from None
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        raise OutputError(f"{path}: damaged (not a complete manifest); start the sweep again, its finished cells stay finished") from None
    if given != OUTPUT_FORMAT:
        raise OutputError(f"{path}: format {given!r}, this version reads {OUTPUT_FORMAT}; use the version that wrote it, or another --out")
    try:
        manifest = Manifest.model_validate(content)
        missing = [cell_id for cell_id in manifest.cells if cell_id not in manifest.resolved]
        if missing:
            raise OutputError(f"{path}: damaged: it names cell {missing[0]} and does not resolve it; start the sweep again to rewrite it")
        return manifest
    except ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(str(part) for part in detail["loc"])
        raise OutputError(f"{path}: {place}: {detail['msg']}. It was edited, or written by another version; start the sweep again to rewrite it") from None


def sweep_names(out: Path) -> list[str]:
    """Return the names of the sweeps that have a manifest, the most recent first."""
    return [path.parent.name for path in sorted((out / "sweeps").glob(f"*/{MANIFEST_NAME}"), key=_modified_s, reverse=True)]


def _modified_s(path: Path) -> float:
    """Return when a file was written, 0 where it cannot be looked at."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
