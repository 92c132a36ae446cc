"""The rules for sweeps that arrive over HTTP: which files and sources they may name, how many cells they may have. Checked before anything else is done.

A sweep names data and models and never a command, but it can make the server or the cluster read a path or fetch an address. So paths must lie
below the allowed roots (symbolic links followed first), hub ids must look like hub ids, addresses are refused, and code that a checkpoint brings along is too.
"""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from loretta_core.config import CellConfig, SweepConfig
from loretta_core.config.model import TOY_MODELS
from loretta_core.config.overrides import override_file
from loretta_core.config.sweep.axes import flatten
from loretta_core.config.sweep.load import FILE_KEYS, resolve_sweep
from loretta_core.config.tasks.conversations import BUILT_IN_TEMPLATES
from loretta_core.config.toml import Table, parse_override, parse_toml
from loretta_core.errors import ConfigError

PATH_FIELDS = (
    *(("task", name) for name in ("train", "validation", "test", "path", "gsm8k_path", "chat_template")),
    *(("engine", name) for name in ("nvme_path", "adapters")),
)
"""Fields of a cell that are paths whenever they are set; `model.name` is one if it is no hub id. A test compares them with every text field there is."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class SubmissionPolicy(BaseModel):
    """The rules of one server."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    roots: tuple[Path, ...] = ()
    """Directories below which a sweep may name models and data; none allows hub ids and what is shipped only."""
    trust_remote_code: bool = False
    """Allow `model.trust_remote_code`: Python code from a checkpoint then runs on the cluster."""
    max_cells: int = Field(10_000, ge=1)
    """Most cells of one sweep."""


def read_sweep(text: str, *, policy: SubmissionPolicy, overrides: Iterable[str] = ()) -> SweepConfig:
    """Parse, count, expand and check a submitted sweep. Raise ConfigError that names the field."""
    raw = parse_toml(text)
    if not isinstance(raw.get("name"), str):
        raise ConfigError('name: missing. A submitted sweep has no file name to be called after; give it one, e.g. name = "ranks"')
    overrides = tuple(overrides)
    _check_size(raw, overrides, limit=policy.max_cells)
    sweep = resolve_sweep(raw, overrides=overrides)
    if sweep.mirror is not None:
        raise ConfigError(f"mirror = {sweep.mirror!r}: refused. A submitted sweep is written where this server keeps its output and nowhere else; leave it out")
    if "wandb" in sweep.sinks:
        raise ConfigError('sinks: "wandb" is refused. A submitted sweep is tracked where this server keeps its runs and nowhere else; leave it out')
    if sweep.tune is not None and sweep.tune.from_sweep is not None:
        raise ConfigError(f"tune.from = {sweep.tune.from_sweep!r}: refused. A submitted sweep reads no directory of this server; leave it out")
    for cell in sweep.cells:
        check_cell(cell, policy=policy)
    return sweep


def check_cell(cell: CellConfig, *, policy: SubmissionPolicy) -> None:
    """Raise ConfigError for a path, source or permission that the policy does not give."""
    if cell.model.trust_remote_code and not policy.trust_remote_code:
        raise ConfigError(
            "model.trust_remote_code = true: refused. It would run code from the checkpoint on the cluster; who runs this server can allow it with "
            "LORETTA_ALLOW_REMOTE_CODE=1"
        )
    if not _is_shipped_or_hub_id(cell.model.name):
        _check_path("model.name", cell.model.name, policy)
    if cell.engine.type == "served":
        raise ConfigError('engine = "served": refused. A submitted sweep asks no other server, and sends no token of this one; use engine "plain" or "ddp"')
    for place, value in _path_fields(cell):
        _check_path(place, value, policy)


def _check_size(raw: Table, overrides: Iterable[str], *, limit: int) -> None:
    """Raise ConfigError for too many cells, before the grid is expanded: ten axes of ten values are ten thousand million cells."""
    raw, changes = override_file(raw, dict(map(parse_override, overrides)), keys=FILE_KEYS)
    axes = raw.get("axes", {})
    lengths = {name: len(values) for name, values in flatten(axes, where="axes.").items()} if isinstance(axes, dict) else {}
    for name, value in changes.items():
        if name in lengths:
            lengths[name] = len(value) if isinstance(value, list) else 1
    include, search = raw.get("include", []), raw.get("search", {})
    samples = (search.get("samples") if isinstance(search, dict) else None) or _cells_each(raw)
    points = math.prod(lengths.values()) if lengths or search or samples or not include else 0
    cells = points * (samples if isinstance(samples, int) and samples > 0 else 1) + (len(include) if isinstance(include, list) else 0)
    if cells > limit:
        raise ConfigError(f"axes: {cells} combinations; this server takes at most {limit} cells in one sweep. Split it")


def _cells_each(raw: Table) -> int | None:
    """Return how many cells [tune] and [replicate] make of a point of the grid, as far as the file says; None without them."""
    given = [table.get(key) for name, key in (("tune", "trials"), ("replicate", "seeds")) if isinstance(table := raw.get(name, {}), dict)]
    most = [max((one for one in value.get("race", []) if isinstance(one, int)), default=1) if isinstance(value, dict) else value for value in given]
    return sum(value for value in most if isinstance(value, int)) or None


def _is_shipped_or_hub_id(name: str) -> bool:
    """Return whether a model is shipped or named by a hub id; a directory of that name in the working directory would be read instead, so it is neither."""
    return name in TOY_MODELS or (_HUB_ID.fullmatch(name) is not None and not Path(name).is_dir())


def _path_fields(cell: CellConfig) -> Iterator[tuple[str, str]]:
    for component, field in PATH_FIELDS:
        value = getattr(cell, component).model_dump().get(field)
        for path in [value] if isinstance(value, str) else value or ():
            if field == "chat_template" and path in BUILT_IN_TEMPLATES:
                continue
            yield f"{component}.{field}", path


def _check_path(place: str, value: str, policy: SubmissionPolicy) -> None:
    if "://" in value:
        raise ConfigError(f"{place} = {value!r}: an address. Models come from the hub by their id, data and other models from files of this server")
    roots = ", ".join(map(str, policy.roots)) or "none; who runs this server can name some in LORETTA_ALLOWED_ROOTS"
    path = Path(value)
    if not path.is_absolute():
        raise ConfigError(f"{place} = {value!r}: not a hub id and not an absolute path; a server has no directory that a relative one could start from")
    # A pattern first by itself, and then every file that it stands for: a symbolic link below a root may lead out of it.
    if not _allowed(path, policy) or not all(_allowed(found, policy) for found in map(Path, glob.glob(value, recursive=True))):  # noqa: PTH207
        raise ConfigError(f"{place} = {value!r}: outside the directories that a sweep may name here ({roots})")


def _allowed(path: Path, policy: SubmissionPolicy) -> bool:
    return any(path.resolve().is_relative_to(root.resolve()) for root in policy.roots)
