"""The method `ft`, full fine-tuning. Its tensors: `loretta_core/adapters/full.py`."""

from __future__ import annotations

from typing import Literal

from loretta_core.methods.base import Method


class Ft(Method):
    """Full fine-tuning: every weight trains."""

    type: Literal["ft"]

    explanation = "all of them"
    every_weight_trains = True
