"""Warnings of runs that learn nothing: no finite loss for many steps in a row, and differences that are exactly 0.

Each is given once, with the likely reason: the optimizer goes on, since a later step may be a good one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

NOT_FINITE_IN_A_ROW = 10
"""Steps in a row without a finite loss from which a run has probably diverged."""

EQUAL_IN_A_ROW = 2
"""Steps in a row whose losses are exactly equal from which that is no chance, once the loss has moved; before, one is enough."""


@dataclass
class Trouble:
    """Looks at every step of one optimizer, and warns."""

    in_jumps: bool = False
    """Whether the loss moves in jumps, as a metric does: then a difference of 0 is common."""
    level: bool = False
    """Whether all losses of the last step were equal, and not 0: it taught nothing, and there is something left to learn."""
    _not_finite: int = 0
    _equal: int = 0
    _moved: bool = False
    _told_of_zeros: bool = False

    def see(self, *, loss: float, differences: Sequence[float]) -> None:
        """Look at one step: its loss, and the differences along its directions."""
        finite = all(map(math.isfinite, differences))
        self._not_finite = 0 if finite else self._not_finite + 1
        if self._not_finite == NOT_FINITE_IN_A_ROW:
            warnings.warn(
                f"{NOT_FINITE_IN_A_ROW} steps in a row found no finite loss (the last is {loss}) and changed nothing: lower the learning rate or zo_eps "
                "and start from weights that were good, or see whether the loss is finite without the optimizer",
                stacklevel=4,
            )
        # A loss of exactly 0 has nothing left to learn: equal sides are no surprise then.
        self.level = finite and not any(differences) and loss != 0
        equal = self.level and not self.in_jumps
        self._equal = self._equal + 1 if equal else 0
        if not self._told_of_zeros and self._equal >= (EQUAL_IN_A_ROW if self._moved else 1):
            self._told_of_zeros = True
            warnings.warn(
                f"all losses of this step are exactly equal ({loss:g}): nothing is learned. Either the loss does not read the optimizer's parameters "
                "(the model was replaced, or load_state_dict(assign=True) gave it new ones: build the optimizer after that), or zo_eps is too small for the "
                "precision of the loss or the weights: raise it",
                stacklevel=4,
            )
        self._moved = self._moved or (finite and not equal)
