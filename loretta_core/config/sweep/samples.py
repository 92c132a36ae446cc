"""Random search over a grid: the samples of `[search]`, laid over every grid point."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from loretta_core.config.explain import explain
from loretta_core.config.sweep.draft import Draft, lay
from loretta_core.config.sweep.search import Drawn, Sample, Search
from loretta_core.config.toml import Table
from loretta_core.errors import ConfigError


@dataclass
class Tried:
    """A sample at a grid point, and the ids of its cells: one per seed, none where the combination is impossible or excluded."""

    sample: Sample
    cells: list[str] = field(default_factory=list)


def read_search(table: Mapping[str, Any]) -> Search:
    """Return the table [search], validated. Raises ConfigError."""
    try:
        return Search.model_validate(table)
    except ValidationError as error:
        raise ConfigError("search: " + explain(error, data=table, origins={}, known=[*Search.model_fields])) from None


def sampled(points: Iterable[Draft], *, search: Search, drawn: Drawn, fixed: Table, tried: dict[str, list[Tried]]) -> Iterator[Draft]:
    """Yield every grid point with each of its samples laid over it, and enter the samples into `tried`.

    Args:
        drawn: samples that results suggested, by the name of their point.
        fixed: the overrides that will be laid over every cell; they are part of a point's name.
    """
    for draft in points:
        point = _point({**draft.table, "overrides": fixed})
        samples = search.samples_of(drawn.get(point, ()))
        tried.setdefault(point, [Tried(sample) for sample in samples])
        for index, values in enumerate(samples):
            sample = replace(copy.deepcopy(draft), point=point, sample=index)
            lay(sample, values, origin="search.space.{}")
            yield sample


def _point(table: Table) -> str:
    """Return the name of a grid point; its seeds share it. Scores under other overrides suggest nothing for a point, so these are part of it."""
    return hashlib.sha256(json.dumps({**table, "seed": None}, sort_keys=True, default=str).encode()).hexdigest()[:12]
