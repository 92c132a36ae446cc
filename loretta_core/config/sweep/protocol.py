"""The protocol of a fair comparison: tune every contender with the same budget, replicate its winner over seeds, decide under constraints.

[tune]         trials of every contender (a point of the grid), judged on validation rows only
[replicate]    the winner of each contender, trained with further seeds; only these are scored on the test rows
[decide]       what the answer must respect

Trials have the grid's seed, below `FIRST_REPLICATE_SEED`; replicates have seeds from there on. So no replicate repeats the trial that was lucky.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from loretta_core.config.sweep.search import Sampler, Search, Space, check_lists
from loretta_core.schema import Strict

FIRST_REPLICATE_SEED = 1000
MOST_SEEDS = 10_000


class TuneBudget(Strict):
    """The most that the trials of one contender may cost by the planner's prediction: as many are made as fit."""

    forwards: float | None = Field(None, gt=0)
    """Forward passes of a batch; a backward pass counts as one or two."""
    hours: float | None = Field(None, gt=0)
    """Hours of workers on `device`."""
    usd: float | None = Field(None, gt=0)
    """Money, at the price of `device` or `budget.usd_per_hour`."""
    device: str = "cpu"
    """The device for which hours are predicted (`loretta plan` knows them); `cpu` is this machine."""

    @model_validator(mode="after")
    def _limits_one_thing(self) -> Self:
        given = [name for name in ("forwards", "hours", "usd") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"{' and '.join(given) or 'nothing'} given: expected one of forwards, hours, usd")
        return self


class Tune(Sampler):
    """Every point of the grid, without its seed, is a contender and gets the same number of trials, or trials for the same budget. The first is its setting as
    the file has it; the others are sampled as in random search (Bergstra and Bengio, JMLR 2012), trial i at the same shares of the ranges for every contender,
    or with `algorithm = "optuna"` in rounds from the validation scores of the earlier ones (TPE). Test rows are never scored."""

    trials: int | None = Field(None, ge=1, le=10_000)
    """Trials of each contender."""
    budget: TuneBudget | None = None
    """Instead of `trials`: what the trials of each contender may cost by prediction. Their number is noted in the sweep's manifest and stays."""
    startup: int = Field(4, ge=1)
    """Only `optuna`: how many trials come before those that it suggests."""
    space: Space | None = None
    """Dotted setting → `{low, high, log, integer}`, or a list to choose from. None: the default ranges of the method and the trainer (`loretta list`)."""
    tolerance: float | None = Field(None, ge=0)
    """Validation scores closer than this are near-ties, decided by validation loss, then by cost. None: closer than one validation row."""
    from_sweep: str | None = Field(None, alias="from")
    """Directory of another sweep, OUT/sweeps/NAME: the winners that it found for the same method and trainer are tried after the first trial."""

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.trials is None) == (self.budget is None):
            given = "neither is given" if self.trials is None else "both are given"
            raise ValueError(f"trials or budget: {given}; give one of them, e.g. trials = 8")
        return self

    @model_validator(mode="after")
    def _lists_have_values(self) -> Self:
        if self.space is not None:
            check_lists(self.space)
        return self

    def search(self, space: Space) -> Search:
        """Return the search that suggests the later trials from results."""
        return Search(samples=self.trials or 1, algorithm="optuna", startup=self.startup, per_round=self.per_round, seed=self.seed, space=space)


class Race(Strict):
    """Contenders that are clearly worse get no further seeds."""

    race: tuple[int, Annotated[int, Field(le=MOST_SEEDS)]]
    """Seeds of every contender, and most seeds of those that are not eliminated. After each number of seeds in between all are compared."""

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        low, high = self.race
        if not 2 <= low < high:
            raise ValueError(f"race = [{low}, {high}]: expected at least 2 seeds, then more")
        return self


def _kind(value: Any) -> str | None:
    return "race" if isinstance(value, Race | dict) else "number" if type(value) is int and 0 < value <= MOST_SEEDS else None


Seeds = Annotated[
    Annotated[int, Tag("number")] | Annotated[Race, Tag("race")],
    Discriminator(_kind, custom_error_type="seeds", custom_error_message="expected a number of seeds, or { race = [3, 10] }, of at most 10,000"),
]


class Replicate(Strict):
    """The winner of each contender, or without [tune] the contender as it is, is trained with further seeds and scored on the test rows."""

    seeds: Seeds
    """Number of seeds, or `{ race = [3, 10] }`: between 3 and 10, fewer for contenders that are clearly worse."""

    @property
    def first(self) -> int:
        """Seeds that every contender gets."""
        return self.seeds if isinstance(self.seeds, int) else self.seeds.race[0]

    @property
    def most(self) -> int:
        """Most seeds of a contender."""
        return self.seeds if isinstance(self.seeds, int) else self.seeds.race[1]

    @property
    def looks(self) -> list[int]:
        """Numbers of seeds after which contenders are compared; none without a race."""
        return [] if isinstance(self.seeds, int) else list(range(self.first, self.most + 1))


class Decide(Strict):
    """Constraints on the method that a verdict recommends; None: no constraint."""

    max_memory_gib: float | None = Field(None, gt=0)
    """Most peak memory of a replicate, in GiB."""
    max_trainable_params: int | None = Field(None, gt=0)
    """Most trainable parameters."""
    max_train_hours: float | None = Field(None, gt=0)
    """Longest training of one replicate, in hours."""
    max_usd: float | None = Field(None, gt=0)
    """Most money for one replicate, at `budget.usd_per_hour`."""
    within: float = Field(0.01, ge=0)
    """As good as the best: the expected score is at most so far below it (one-sided)."""
