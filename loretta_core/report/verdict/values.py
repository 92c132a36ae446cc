"""A verdict as a value: what is recommended for one task and model, and everything that is known about the contenders there.

Made by `decide.py`, put into words by `presentation/sentences.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from loretta_core.report.verdict.contenders import ContenderResult

SIGNIFICANCE_LEVEL = 0.05
"""Level of all pairs together, and one less the coverage of their intervals."""

MOST_CONTENDERS = 150
"""Contenders of one task and model that are compared: more take minutes, and their pairs are too many to show anything."""

Kind = Literal["use", "no training", "validation only", "none"]
"""A contender is recommended; nothing trained scores higher than the model without training; one seed, so only validation scores are named; nothing to say."""

Relation = Literal["recommended", "not separated", "worse", "better", "not compared"]
"""A contender against the recommended one, under the adjustment for all pairs."""


@dataclass(frozen=True)
class Estimate:
    """A score with its 95 % interval; without ends where none is known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """A contender's score less that of the recommended one, with an interval and a p-value that hold for all pairs together."""

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Standing:
    """One contender in a verdict."""

    contender: ContenderResult
    score: Estimate | None
    seeds: int
    """Replicates that count: scored on the test rows that the others were scored on."""
    relation: Relation = "not compared"
    probability_best: float | None = None
    difference: Difference | None = None
    ruled_out: tuple[str, ...] = ()
    """The constraints of [decide] that it breaks, in words."""


@dataclass(frozen=True)
class Baseline:
    """A score that needs no training; its interval covers the rows alone."""

    name: str
    score: Estimate
    shown_worse: bool = False
    """The recommended contender's score is shown to be above it."""


@dataclass(frozen=True)
class Cheapest:
    """The contender with the least of one cost among those shown to be as good as the recommended one."""

    cost: str
    text: str
    standing: Standing


@dataclass(frozen=True)
class Needed:
    """Numbers of seeds of each, or of rows, that would separate the first two contenders; None where no number does."""

    first: str
    second: str
    seeds: int | None
    rows: int | None


@dataclass(frozen=True)
class Verdict:
    """The answer for one task and model."""

    task: str
    model: str
    kind: Kind
    metric: str = "score"
    rows: int | None = None
    within: float = 0.01
    standings: tuple[Standing, ...] = ()
    """The highest score first; those without a score last."""
    is_best: bool = False
    """The recommended contender is separated from every other one that is compared, and above it."""
    cheapest: tuple[Cheapest, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    smallest_difference: float | None = None
    """Smallest difference that these seeds and rows would have shown with probability 0.8."""
    needed: Needed | None = None
    budget: str = ""
    """A sentence: does the order of the contenders depend on the number of trials?"""
    tuning: tuple[str, ...] = ()
    """Notes on the chosen settings: near-ties, values at the edge of their range."""
    failures: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    """What is not known, in words."""
    why: str = ""
    """Why there is no verdict."""

    @property
    def recommended(self) -> Standing | None:
        """The contender to use; None where there is no verdict."""
        return next((standing for standing in self.standings if standing.relation == "recommended"), None)

    def of_relation(self, relation: Relation) -> list[Standing]:
        """Return the contenders of one relation to the recommended one, the highest score first."""
        return [standing for standing in self.standings if standing.relation == relation]

    def to_json(self) -> dict[str, Any]:
        """Return the verdict with unrounded numbers; its contenders are in a list of their own (`presentation/table.py`)."""
        top = self.recommended
        return {
            "task": self.task,
            "model": self.model,
            "kind": self.kind,
            "use": top.contender.name if top else None,
            "setting": top.contender.setting or None if top else None,
            "metric": self.metric,
            "score": top.score.value if top and top.score else None,
            "score_low": top.score.low if top and top.score else None,
            "score_high": top.score.high if top and top.score else None,
            "seeds": top.seeds if top else None,
            "test_rows": self.rows,
            "probability_best": top.probability_best if top else None,
            "is_best": self.is_best,
            "not_separated": [each.contender.name for each in self.of_relation("not separated")],
            "worse": [each.contender.name for each in self.of_relation("worse")],
            "ruled_out": {each.contender.name: list(each.ruled_out) for each in self.standings if each.ruled_out},
            "within": self.within,
            "cheapest_within": {each.cost: each.standing.contender.name for each in self.cheapest},
            "without_training": [
                {"name": each.name, "score": each.score.value, "score_low": each.score.low, "score_high": each.score.high} for each in self.baselines
            ],
            "smallest_difference": self.smallest_difference,
            "seeds_to_separate_the_first_two": self.needed.seeds if self.needed else None,
            "rows_to_separate_the_first_two": self.needed.rows if self.needed else None,
            "tuning_budget": self.budget or None,
            "tuning_notes": list(self.tuning),
            "failures": list(self.failures),
            "not_known": list(self.unknown),
            "why_not": self.why or None,
        }
