"""Limits of a sweep: what one start may spend, and when cells that do badly are ended. No part of a cell's id."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from loretta_core.schema import Strict


class Budget(Strict):
    """The most that one start of a sweep may spend. No cell is begun once it is spent; those that run are finished."""

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
        if self.cells is self.hours is self.usd is self.usd_per_hour is None:
            raise ValueError("expected at least one of cells, hours, usd, or a price (usd_per_hour)")
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
        """Shares of a cell's steps at which it is compared with the others."""
        found = [self.first]
        while found[-1] * self.keep < 1.0:
            found.append(found[-1] * self.keep)
        return tuple(found)
