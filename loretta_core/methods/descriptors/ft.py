"""The method `ft`, full fine-tuning. Its tensors: `loretta_core/adapters/full.py`."""

from __future__ import annotations

from typing import Literal

from loretta_core.methods.base import Method
from loretta_core.methods.ranges import TOY_SWEEP, DefaultRange, LearningRates


class Ft(Method):
    """Full fine-tuning: every weight trains."""

    type: Literal["ft"]

    explanation = "all of them"
    learning_rates = LearningRates(
        DefaultRange(1e-6, 1e-3, f"2e-5 to 5e-5 for BERT (arXiv 1810.04805), 1e-6 to 5e-6 in 2402.11417; best of {TOY_SWEEP}: 1e-3"),
        DefaultRange(1e-7, 1e-3, f"1e-7 to 1e-5 in MeZO (arXiv 2305.17333), 1e-8 to 1e-4 in ZO-Bench (2402.11592); best of {TOY_SWEEP}: 1e-4"),
    )
    every_weight_trains = True
