"""The ranges in which the settings of a method or a trainer are tried when a sweep file gives none, each with its source."""

from __future__ import annotations

from typing import NamedTuple


class DefaultRange(NamedTuple):
    """Numbers from `low` to `high`."""

    low: float
    high: float
    source: str
    """Where the range comes from: papers, and sweeps of this project."""
    log: bool = True
    """Uniform in the logarithm."""

    def scaled(self, factor: float) -> DefaultRange:
        """Return the range with both ends times a factor."""
        return self._replace(low=float(f"{self.low * factor:.3g}"), high=float(f"{self.high * factor:.3g}"))


TOY_SWEEP = "jobs/sweeps/quickstart_search.toml"
"""The committed sweep over learning rates on the toy models; its table is in loretta_core/assets/README.md."""

ZEROTH_ORDER = DefaultRange(
    1e-5,
    3e-2,
    f"1e-5 to 1e-4 for LoRA in MeZO (arXiv 2305.17333), 1e-6 to 1e-3 in ZO-Bench (2402.11592), 1e-4 in AdaZeta (2406.18060); best of {TOY_SWEEP}: 1e-2",
)
"""Learning rates of zeroth-order SGD for methods that train a few numbers."""


class LearningRates(NamedTuple):
    """Learning rates of a method, for each family of trainers."""

    first_order: DefaultRange
    zeroth_order: DefaultRange = ZEROTH_ORDER


FAMILY_RANGE = DefaultRange(
    1e-3,
    5e-2,
    "that of jobs/sweeps/tensor_family.toml, whose best are 8.5e-3 for metatt and lorta, 2e-2 for tensorguide, 3.5e-2 for tt_lora and 1.8e-3 with its tt_svd",
)
"""Learning rates of AdamW for the other methods whose update is made of tensor trains or CP factors; no range of their papers is taken over."""
