"""Models of requests and responses. Their names, docstrings and field names are part of the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path as PathParameter
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from loretta_core.config.toml import MAX_BYTES
from loretta_core.report.rows import Status
from services.queries.submissions import Job
from services.queries.sweep_preview import CellStatus

Offset = Annotated[int, Query(ge=0, le=10_000_000, description="How many to leave out.")]
Limit = Annotated[int, Query(ge=1, le=500, description="Most entries of a page.")]
SweepName = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="Name of a sweep.")]
JobId = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$", description="Id of a job.")]
CellId = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{4,16}$", description="Id of a cell, or its first digits.")]
SortKey = Literal["score", "trainable_params", "train_seconds", "peak_memory_bytes", "forwards", "method", "trainer", "seed"]


class Strict(BaseModel):
    """An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class SweepText(Strict):
    """A sweep, as text."""

    toml: str = Field(min_length=1, max_length=MAX_BYTES)
    """The sweep file."""
    overrides: list[Annotated[str, Field(max_length=2000)]] = Field([], max_length=100)
    """`key=value`, as --set takes them."""


class PlanRequest(SweepText):
    """A sweep and the devices to plan it for."""

    devices: list[Annotated[str, Field(max_length=60)]] = Field(min_length=1, max_length=8)
    """E.g. a100-80gb, h100-80gb:4, cpu."""


class Health(BaseModel):
    """The server answers."""

    status: Literal["ok"] = "ok"
    version: str


class PlannedCell(BaseModel):
    """A cell of a sweep that was not started."""

    cell_id: str
    label: str
    status: CellStatus
    trainable_params: int | None
    refusal: str | None = None
    """Why it cannot run."""


class ValidatedSweep(BaseModel):
    """What a sweep expands to."""

    name: str
    submission_id: str
    cells: list[PlannedCell]
    duplicates: list[str]
    skipped: list[dict[str, str]]
    excluded: int
    notices: list[str]
    """What to know of the file: rules that match nothing, settings that were left out of some cells."""


class Plan(BaseModel):
    """One row per cell and device, as `loretta plan --json` prints them."""

    rows: list[dict[str, Any]]


class Page(BaseModel):
    """Part of a list."""

    total: int
    next_offset: int | None
    """Where the next page begins; null after the last."""


class JobPage(Page):
    """Jobs, the newest first."""

    jobs: list[Job]


class RunningCell(BaseModel):
    """A cell in training."""

    cell_id: str
    name: str
    """What it is for, as in `trial 3 of 8 of lora · adam`, else its labels."""
    step: int
    steps: int | None
    loss: float | None
    seconds: float


class SweepSummary(BaseModel):
    """How far a sweep is."""

    name: str
    description: str
    total: int
    finished: int
    failed: int
    stopped: int
    """Ended early by the sweep."""
    damaged: int
    """A file of theirs cannot be read."""
    waiting: int
    running: list[RunningCell]
    eta_s: float | None
    """Estimated seconds until it is over."""
    version: str
    """Changes when a cell ends."""


class SweepPage(Page):
    """Sweeps, the one that started last first."""

    sweeps: list[SweepSummary]
    damaged: list[str]
    """What is wrong with sweeps of this page that cannot be read."""


class CellSummary(BaseModel):
    """A cell as a row of the comparison."""

    cell_id: str
    labels: dict[str, str]
    status: Status
    reason: str | None
    score: float | None
    score_low: float | None
    score_high: float | None
    score_name: str | None
    initial_score: float | None
    trainable_params: int | None
    train_seconds: float | None
    peak_memory_bytes: int | None
    forwards: int | None
    paper: str | None
    """The paper's number for this model, method and task, with its source."""


class CellPage(Page):
    """Cells of a sweep."""

    cells: list[CellSummary]


class Cell(BaseModel):
    """Everything about a cell."""

    cell_id: str
    label: str
    status: Status
    settings: dict[str, Any]
    record: dict[str, Any] | None
    """As on disk; null while it runs, and where it is damaged."""
    damage: str | None
    """Path of a damaged file of the cell, what is wrong with it, and what to do."""
    reproduce: str
    """The command that computes it again."""
    load: str | None
    """Python that loads the trained weights."""
    mlflow: str | None
    """Address of its run."""


class Comparison(BaseModel):
    """What a sweep says."""

    name: str
    verdict: list[str]
    """The verdicts in words, an answer for each task and model first; lines that belong to it are indented."""
    verdicts: list[dict[str, Any]]
    """The same with unrounded numbers."""
    contenders: list[dict[str, Any]]
    """Every contender, as `loretta compare --json` prints them."""
    mean_ranks: list[dict[str, Any]]
    """Mean ranks over several tasks and models; empty for one."""
    predictions: list[str]
    """How well cost was predicted."""
    pareto: dict[str, list[str]]
    """Cost → ids of the cells that no other beats."""
    damaged: dict[str, str]
    """Cell id → path of a damaged file of the cell, what is wrong with it, and what to do: these cells are not compared."""
    missing: list[str]
    """Cells without a score, with the reason; at most 100."""
