"""Facts of a cell for tracking stores, beside its metrics and free of any store's library: settings, numbers to filter by, tags, data sets.

params      every setting that is set, under its name in a sweep file: trainer.lr = 0.001
numbers     those of them that are numbers, and not the task's or the engine's: stores search ranges of metrics, not of params
tags        model, task, method, trainer, seed; where and with what it was computed
data sets   one for each split: name, source, digest, rows
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loretta_core.config import CellConfig
from loretta_core.config.task import Decoder, Glue, Jsonl
from loretta_core.store.records import Record
from loretta_core.tasks.data.benchmarks import BENCHMARKS

DIGEST_DIGITS = 32
"""Hex digits of a digest that MLflow takes (at most 36 characters)."""

_NUMBERED = ("method", "trainer")


@dataclass(frozen=True)
class DataSet:
    """One split of a cell's data, as stores keep it."""

    split: str
    name: str
    digest: str
    rows: int
    source_type: str
    """local, hugging_face or code, as MLflow calls them."""
    source: str
    """JSON of the source."""
    columns: tuple[str, ...]


def flatten(table: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Return nested tables as one, with dotted names."""
    leaves: dict[str, Any] = {}
    for key, value in table.items():
        leaves.update(flatten(value, prefix=f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return leaves


def params(cell: CellConfig) -> dict[str, str]:
    """Return every setting that is set, defaults included, as text; lists as JSON."""
    settings = {name: value for name, value in flatten(cell.to_dict()).items() if value is not None}
    return {name: json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value) for name, value in settings.items()}


def numbers(cell: CellConfig) -> dict[str, float]:
    """Return the settings of method and trainer that are numbers, the batch size, and the number of steps where it is known."""
    settings = flatten({name: value for name, value in cell.to_dict().items() if name in (*_NUMBERED, "batch_size")})
    return {name: float(value) for name, value in settings.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def tags(cell: CellConfig) -> dict[str, str]:
    """Return the names by which runs are grouped."""
    return {"model": cell.model.caption, "task": cell.task.type, "method": cell.method.short_name, "trainer": cell.trainer.type, "seed": str(cell.seed)}


def environment_tags(record: Record) -> dict[str, str]:
    """Return git state under MLflow's names, host, device, and `version.NAME` for each library; what the record does not say is left out."""
    known = dict(record.environment)
    commit = known.pop("git_commit", "")
    git = {"mlflow.source.git.commit": commit.removesuffix("-dirty"), "mlflow.source.git.dirty": str(commit.endswith("-dirty")).lower()} if commit else {}
    places = {name: known.pop(name) for name in ("host", "device") if name in known}
    return git | places | {f"version.{name}": version for name, version in known.items() if version != "not installed"}


def result_tags(record: Record) -> dict[str, str]:
    """Return what people want to read of a finished cell and no number says: metric, pack, warnings."""
    found = {"metric": record.score.name, "pack_id": record.pack.pack_id if record.pack else None, "warnings": "\n".join(record.warnings)}
    return {name: value for name, value in found.items() if value}


def data_sets(cell: CellConfig, record: Record) -> list[DataSet]:
    """Return the splits that the cell saw; none for records from before they were kept."""
    if record.data is None:
        return []
    return [
        DataSet(split, cell.task.type, facts.sha256[:DIGEST_DIGITS], facts.rows, *_source(cell, split), columns=tuple(record.data.columns))
        for split, facts in record.data.splits.items()
    ]


def _source(cell: CellConfig, split: str) -> tuple[str, str]:
    """Return MLflow's type of a source, and the source as JSON."""
    task = cell.task
    if isinstance(task, Jsonl):
        given = getattr(task, split) or task.train  # test rows that are held out of the training rows
        files = [given] if isinstance(given, str) else given
        if files[0].startswith("hf://"):
            path, _, hub_split = files[0].removeprefix("hf://").partition(":")
            return "hugging_face", json.dumps({"path": path, "split": hub_split or split})
        return "local", json.dumps({"uri": ", ".join(files)})
    if isinstance(task, Glue | Decoder):
        if task.path is not None:
            return "local", json.dumps({"uri": task.path})
        benchmark = BENCHMARKS[task.type]
        hub_split = {"train": "train", "validation": "train", "test": benchmark.validation}[split]  # the papers' low-data setting: validation rows are held out
        return "hugging_face", json.dumps({"path": benchmark.hub, "config_name": benchmark.part, "split": hub_split})
    return "code", json.dumps({"tags": {"generator": f"loretta_core.tasks.data.toy ({task.type})"}})
