"""The findings of `loretta doctor`: one value per check. Standard library only; both `jobs` and `services` make checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    """ray, mlflow, lock, …"""
    state: Literal["ok", "problem", "fixed"]
    text: str
    """What was found, in words."""
    advice: str = ""
    """What to do about a problem."""
