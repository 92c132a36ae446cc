"""Where and in what pieces a cell is computed. Placement is recorded with a cell and never part of its identity."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loretta_core.config.base import Typed


class Plain(Typed):
    """One process on one device."""

    type: Literal["plain"]
    gradient_accumulation: int = Field(1, ge=1)
    """Pieces a batch is cut into to save memory; must divide the batch. The result is that of the whole batch up to rounding."""
    cpus: float = Field(1.0, gt=0)
    """CPU cores a worker takes; torch computes on as many threads."""
    gpus: float = Field(0.0, ge=0)
    """GPUs a worker takes; 0 computes on the CPU."""


EngineConfig = Plain
