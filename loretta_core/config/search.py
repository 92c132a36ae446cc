"""What a sweep file says about which cells run, in what order, and when to stop: ranges to sample, a budget, early stopping.

    [search]            samples drawn from ranges, laid over every point of the grid
    budget              cells, hours or money that one start of the sweep may spend
    early_stopping      cells that are worse than others of their kind after a share of their steps end there

None of it is part of a cell: a sampled cell has the id of the same cell written out.
"""

from __future__ import annotations

import math
import random
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from loretta_core.config.base import Strict


class Range(Strict):
    """Numbers from `low` to `high`."""

    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    log: bool = False
    """Uniform in the logarithm: for learning rates."""
    integer: bool = False
    """Whole numbers only."""

    @model_validator(mode="after")
    def _has_an_inside(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"low = {self.low:g}, high = {self.high:g}: expected low < high" + (", and low > 0 with log = true" if self.log else ""))
        return self

    def at(self, share: float) -> float | int:
        """The value at a share in [0, 1), to three significant digits: enough for a setting, and readable in a table."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = low + share * (high - low)
        value = math.exp(value) if self.log else value
        return min(round(value), int(self.high)) if self.integer else float(f"{value:.3g}")


class Search(Strict):
    """Random search (Bergstra and Bengio, JMLR 2012). Sample i depends on `seed`, i and the name of the setting: more samples keep those that were there, and
    every point of the grid gets the same ones."""

    samples: int = Field(ge=1, le=10_000)
    """How many samples each point of the grid is crossed with."""
    seed: int = 0
    """Another one draws other samples."""
    space: dict[str, Range | list[Any]] = Field(min_length=1)
    """Dotted setting → `{low, high, log, integer}`, or a list to choose from."""

    @model_validator(mode="after")
    def _lists_have_values(self) -> Self:
        empty = [name for name, values in self.space.items() if values == []]
        if empty:
            raise ValueError(f"space.{empty[0]} = []: expected values to choose from, or a table with low and high")
        return self

    def sample(self, index: int) -> dict[str, Any]:
        """Dotted setting → value."""
        return {name: self._drawn(name, index) for name in self.space}

    def _drawn(self, name: str, index: int) -> Any:
        share = random.Random(f"{self.seed}/{index}/{name}").random()
        values = self.space[name]
        return values.at(share) if isinstance(values, Range) else values[int(share * len(values))]


class Budget(Strict):
    """What one start of a sweep may spend. No cell is begun once it is spent; those that run are finished."""

    cells: int | None = Field(None, ge=1)
    """Most cells."""
    hours: float | None = Field(None, gt=0)
    """Most hours of workers: two that compute for an hour are two."""
    usd: float | None = Field(None, gt=0)
    """Most money, at the price of the device or `usd_per_hour`."""
    usd_per_hour: float | None = Field(None, gt=0)
    """Price of a device (a GPU, else a worker) for an hour; None takes the planner's for the GPU."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.cells is self.hours is self.usd is None:
            raise ValueError("expected at least one of cells, hours, usd")
        return self


class EarlyStopping(Strict):
    """Asynchronous successive halving (ASHA, arXiv 1810.05934) on the validation score. Cells compete with cells of the same model and task whose trainer is of
    the same family (first order, zeroth order), and at equal shares of their steps: steps of the two families do not compare."""

    type: Literal["asha"] = "asha"
    keep: int = Field(3, ge=2)
    """One in so many goes on at each rung (the paper's η)."""
    first: float = Field(1 / 9, gt=0, lt=1)
    """First rung, as a share of a cell's steps; each next one is at `keep` times the share."""

    @property
    def rungs(self) -> tuple[float, ...]:
        """Shares of a cell's steps at which it is judged."""
        found = [self.first]
        while found[-1] * self.keep < 1.0:
            found.append(found[-1] * self.keep)
        return tuple(found)
