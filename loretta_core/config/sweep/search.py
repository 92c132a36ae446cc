"""Ranges of settings and the samples drawn from them, as `[tune]` uses them, and the table `[search]`, which `[tune]` supersedes.

With `algorithm = "optuna"` later samples come from what the earlier ones scored. A sampled cell has the id of the same cell written out.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from loretta_core.schema import Strict

Sample = dict[str, Any]
"""Dotted setting → value."""

Drawn = Mapping[str, Sequence[Sample]]
"""Name of a grid point → the samples that results suggested for it, in the order of their rounds."""


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
        """Return the value at a share in [0, 1), to three significant digits: enough for a setting, and readable in a table."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = low + share * (high - low)
        return self.readable(math.exp(value) if self.log else value)

    def readable(self, value: float) -> float | int:
        """Return a value as a cell gets it: a whole number, or three significant digits."""
        return min(round(value), int(self.high)) if self.integer else float(f"{value:.3g}")


class Sampler(Strict):
    """The way in which settings are sampled: the keys that `[search]` and `[tune]` share."""

    algorithm: Literal["random", "optuna"] = "random"
    """`random` knows all cells beforehand; `optuna` needs the extra `search`."""
    startup: int = Field(10, ge=1)
    """Only `optuna`: how many samples are random (Optuna's default)."""
    per_round: int = Field(4, ge=1)
    """Only `optuna`: how many samples of a point are drawn at a time. They are computed side by side; the next ones see their scores."""
    seed: int = 0
    """Another one draws other samples."""

    @model_validator(mode="after")
    def _rounds_are_for_optuna(self) -> Self:
        unused = sorted({"startup", "per_round"} & self.model_fields_set)
        if self.algorithm == "random" and unused:
            raise ValueError(f'{unused[0]} = {getattr(self, unused[0])}: only algorithm = "optuna" draws in rounds; leave it out, or choose that algorithm')
        return self


Space = dict[str, Range | list[Any]]
"""Dotted setting → numbers from a range, or values to choose from."""


def check_lists(space: Space) -> None:
    """Raise ValueError for a list without values."""
    empty = [name for name, values in space.items() if values == []]
    if empty:
        raise ValueError(f"space.{empty[0]} = []: expected values to choose from, or a table with low and high")


def drawn_value(values: Range | list[Any], *, seed: int, index: int, name: str) -> Any:
    """Return the value of a setting in the random sample with this index: a function of the arguments alone."""
    share = random.Random(f"{seed}/{index}/{name}").random()
    return values.at(share) if isinstance(values, Range) else values[int(share * len(values))]


class Search(Sampler):
    """Random search (Bergstra and Bengio, JMLR 2012). Sample i depends on `seed`, i and the name of the setting: more samples keep those that were there, and
    every point of the grid gets the same ones.

    With `algorithm = "optuna"` only the first `startup` samples are these. The others come in rounds, from Optuna's TPE (Bergstra et al., NIPS 2011) on the
    validation scores of the earlier ones; each point of the grid is searched by itself, and its seeds are replicates whose scores are averaged."""

    samples: int = Field(ge=1, le=10_000)
    """How many samples each point of the grid is crossed with."""
    space: Space = Field(min_length=1)
    """Dotted setting → `{low, high, log, integer}`, or a list to choose from."""

    @model_validator(mode="after")
    def _lists_have_values(self) -> Self:
        check_lists(self.space)
        return self

    @property
    def begins_with(self) -> int:
        """Number of samples that need no result."""
        return self.samples if self.algorithm == "random" else min(self.startup, self.samples)

    def samples_of(self, drawn: Sequence[Sample]) -> list[Sample]:
        """Return the samples of a grid point.

        Args:
            drawn: what results suggested so far.
        """
        return [*map(self.sample, range(self.begins_with)), *drawn][: self.samples]

    def sample(self, index: int) -> Sample:
        """Return the random sample with this index."""
        return {name: drawn_value(values, seed=self.seed, index=index, name=name) for name, values in self.space.items()}
