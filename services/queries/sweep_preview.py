"""A sweep before it starts: which of its cells are finished already, and what each would take on given devices. Reads only, and imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from loretta_core.config import CellConfig, SweepConfig
from loretta_core.errors import ConfigError, OutputError
from loretta_core.plan.cell import CellPlan, plan_cell
from loretta_core.plan.devices import Devices, parse_devices
from loretta_core.plan.placement.fit import DeviceFit, plan_on
from loretta_core.plan.sizing import size
from loretta_core.plan.tuning import fix_trials
from loretta_core.store.early_stops import read_early_stops
from loretta_core.store.layout import cell_directory
from loretta_core.store.output_dir import check_output_dir
from loretta_core.store.protocol_state import restore_protocol
from loretta_core.store.record_files import NoRecord, read_cell_record
from loretta_core.store.search_state import restore_search

CellStatus = Literal["new", "finished", "failed", "damaged", "unscored", "stopped early"]
"""A failed cell runs again, and so does one whose record is damaged; an unscored one is trained and lacks its test score; the sweep stopped the last kind."""


class PreviewJson(TypedDict):
    """A previewed cell as plain values."""

    cell_id: str
    label: str
    status: CellStatus
    trainable_params: int | None
    refusal: str | None


@dataclass(frozen=True)
class CellPreview:
    """A cell of a sweep that has not started: its settings, its status in the output directory, its predicted size."""

    cell: CellConfig
    status: CellStatus
    plan: CellPlan

    def to_json(self) -> PreviewJson:
        """Return what the API and the dry run show of a cell."""
        return PreviewJson(
            cell_id=self.cell.cell_id,
            label=self.cell.label,
            status=self.status,
            trainable_params=self.plan.trainable_params,
            refusal=self.plan.refusal,
        )


def as_started(sweep: SweepConfig, *, out: Path) -> SweepConfig:
    """Return the sweep as its next start in `out` would find it: with the cells of rounds and seeds that earlier starts chose, and the trials that its budget
    pays for. Raise OutputError when `out` is no output directory of ours."""
    if out.exists() and (out.is_file() or any(out.iterdir())):
        check_output_dir(out)
    return fix_trials(restore_protocol(restore_search(sweep, out), out))


def cell_statuses(sweep: SweepConfig, *, out: Path) -> list[CellStatus]:
    """Return the status of every cell, in the order of the sweep."""
    stopped = read_early_stops(out, name=sweep.name) if sweep.early_stopping else {}
    return [cell_status(cell, out=out, stopped_early=cell.cell_id in stopped) for cell in sweep.cells]


def preview_cells(sweep: SweepConfig, *, out: Path) -> list[CellPreview]:
    """Return status and predicted size of every cell, in the order of the sweep."""
    return [CellPreview(cell, status, plan_cell(cell)) for cell, status in zip(sweep.cells, cell_statuses(sweep, out=out), strict=True)]


def cell_status(cell: CellConfig, *, out: Path, stopped_early: bool = False) -> CellStatus:
    """Return the status of a cell in an output directory; `stopped_early` counts only where there is no record."""
    directory = cell_directory(out, cell.cell_id)
    try:
        record = read_cell_record(directory)
        return "unscored" if record.unscored and cell.score_test else record.status
    except NoRecord:
        return "stopped early" if stopped_early else "new"
    except OutputError:
        return "damaged"


def predict_on_devices(sweep: SweepConfig, *, devices: Sequence[str]) -> list[DeviceFit]:
    """Return one row per device and cell. Raise ConfigError for no device, or one that is not known."""
    if not devices:
        raise ConfigError("no device given: name at least one, e.g. --device a100-80gb or --device cpu (this machine)")
    return _predict(sweep, [parse_devices(text) for text in devices])


def _predict(sweep: SweepConfig, devices: Sequence[Devices]) -> list[DeviceFit]:
    sized = [size(cell) for cell in sweep.cells]
    return [plan_on(cell, kind, sized=found) for kind in devices for cell, found in zip(sweep.cells, sized, strict=True)]
