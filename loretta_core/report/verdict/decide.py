"""The verdict on each task and model of a sweep. Every claim follows from the inference over seeds and rows (`inference/`):

    recommended      the highest mean test score of the contenders that respect [decide]
    best             only if it is separated from every other contender that is compared, over all pairs at once (max-t)
    as good          the lower end of an interval that holds for all pairs is at most `within` below the recommended one
    one seed         nothing is known of training noise, so nothing is claimed; the highest validation score is named as that

The choice is made on the same test rows that the claims are about, so all pairs count in the adjustment, not only those with the recommended one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from loretta_core.config.sweep.protocol import Decide
from loretta_core.report.rows import ResultRow
from loretta_core.report.stats import Z_95
from loretta_core.report.units import counted, listed
from loretta_core.report.verdict import baselines as without_training
from loretta_core.report.verdict.common_rows import CommonRows, common_rows, has_row_interval
from loretta_core.report.verdict.contenders import ContenderResult, by_task_and_model
from loretta_core.report.verdict.costs import broken_constraints, cheapest
from loretta_core.report.verdict.gaps import failures, missing, untuned_settings
from loretta_core.report.verdict.tuning import Algorithm, budget_sentence, tuning_notes
from loretta_core.report.verdict.values import MOST_CONTENDERS, SIGNIFICANCE_LEVEL, Baseline, Estimate, Kind, Standing, Verdict
from loretta_core.store.predictions import Predictions

if TYPE_CHECKING:
    from loretta_core.report.verdict.comparison import GroupComparison


@dataclass(frozen=True)
class Protocol:
    """The rules that a verdict respects, and facts about the sweep beside its cells."""

    decide: Decide = field(default_factory=Decide)
    algorithm: Algorithm = "random"
    """How trials were chosen."""
    usd_per_hour: float | None = None
    """Price of a device (a GPU, else a worker) for an hour; None: costs in money are not known."""


def verdicts(contenders: Sequence[ContenderResult], *, predictions: Mapping[str, Predictions], protocol: Protocol) -> tuple[Verdict, ...]:
    """Return a verdict for each task and model, in the order of the contenders."""
    return tuple(_verdict(members, predictions, protocol) for members in by_task_and_model(contenders).values())


def comparable(contenders: Sequence[ContenderResult], found: CommonRows) -> list[tuple[ContenderResult, tuple[ResultRow, ...]]]:
    """Return the contenders with at least two seeds on the common rows and their replicates, the highest mean first, of equal ones the cheaper. The order does
    not depend on names."""
    usable = [
        (contender, rows)
        for contender, rows in zip(contenders, found.counted, strict=True)
        if contender.trains and len(rows) > 1 and (found.paired or all(map(has_row_interval, rows)))
    ]
    return sorted(usable, key=lambda member: (*_high_and_cheap(member[0], _mean(member[1])), sorted(row.cell_id for row in member[1])))


def _verdict(contenders: Sequence[ContenderResult], predictions: Mapping[str, Predictions], protocol: Protocol) -> Verdict:
    found = common_rows(contenders, predictions)
    base = Verdict(
        task=contenders[0].task,
        model=contenders[0].model,
        kind="none",
        metric=found.metric,
        rows=found.rows,
        within=protocol.decide.within,
        standings=_by_score(_standing(contender, rows, protocol) for contender, rows in zip(contenders, found.counted, strict=True)),
        baselines=without_training.baselines(contenders),
        budget=budget_sentence(contenders, algorithm=protocol.algorithm),
        tuning=tuple(tuning_notes(contenders)),
        failures=tuple(failures(contenders)),
        unknown=_unknown(contenders, found),
    )
    if not any(len(rows) > 1 for contender, rows in zip(contenders, found.counted, strict=True) if contender.trains):
        return _without_replicates(base, why="one seed per contender, so nothing is claimed")
    return _compared(base, contenders, found, predictions, protocol)


def _without_replicates(base: Verdict, *, why: str) -> Verdict:
    """Return the verdict where fewer than two contenders have two seeds: it claims nothing."""
    trained = [standing for standing in base.standings if standing.contender.trains]
    validated = any(standing.contender.validation is not None for standing in trained)
    scored = any(standing.score for standing in base.standings)
    if not scored:
        why = "no contender has a score on the test rows yet" + (", so nothing is claimed" if validated else "")
    elif len(trained) < 2:
        why = f"one contender with {counted(trained[0].seeds, 'seed')}" if trained else "nothing was trained"
    return replace(base, kind="validation only" if validated and len(trained) > 1 else "none", why=why)


def _compared(base: Verdict, contenders: Sequence[ContenderResult], found: CommonRows, predictions: Mapping[str, Predictions], protocol: Protocol) -> Verdict:
    from loretta_core.report.verdict import comparison as inference  # numpy and scipy: half a second that reading need not pay

    members = comparable(contenders, found)
    if len(members) > MOST_CONTENDERS:
        return replace(base, why=f"{len(members)} contenders, and all pairs of at most {MOST_CONTENDERS} are compared; use [tune] for settings")
    rows = [replicates for _, replicates in members]
    if not members or (found.paired and (found.rows or 0) < 2):
        return replace(base, why="no contender has two seeds and an interval over the test rows")
    compared = inference.compare_paired(rows, predictions) if found.paired else inference.compare_unpaired(rows)
    measured = _measured(base, [contender for contender, _ in members], compared)
    if len(members) == 1:
        return _without_replicates(measured, why=f"only {members[0][0].spoken} has several seeds, so nothing is claimed")
    measured = _related(measured, [contender for contender, _ in members], compared)
    if measured.recommended is None:
        return replace(measured, why="every contender with several seeds breaks a constraint of [decide]")
    top = next(index for index, (contender, _) in enumerate(members) if contender is measured.recommended.contender)
    return replace(
        measured,
        kind=_kind(measured, measured.recommended),
        is_best=all(each.relation == "worse" for each in measured.standings if each.difference),
        cheapest=cheapest([each for each in measured.standings if _as_good(each, protocol.decide.within)], usd_per_hour=protocol.usd_per_hour),
        smallest_difference=compared.smallest_difference,
        needed=inference.needed_of(compared, [contender.spoken for contender, _ in members]),
        baselines=tuple(_against(each, compared.score(top), compared.standard_error(top)) for each in base.baselines),
        unknown=(*measured.unknown, *_not_compared(measured), *([] if found.paired else [_UNPAIRED])),
    )


_UNPAIRED = "no predictions for every row are kept, so contenders are compared as if each had test rows of its own, which separates fewer of them"


def _measured(base: Verdict, members: Sequence[ContenderResult], compared: GroupComparison) -> Verdict:
    """Return the verdict with intervals over seeds and rows for the compared contenders."""
    scores = {id(contender): compared.score(index) for index, contender in enumerate(members)}
    return replace(base, standings=_by_score(replace(each, score=scores.get(id(each.contender), each.score)) for each in base.standings))


def _related(verdict: Verdict, members: Sequence[ContenderResult], compared: GroupComparison) -> Verdict:
    """Return the verdict with P(best) and each compared contender's difference to the recommended one."""
    place = {id(contender): index for index, contender in enumerate(members)}
    standings = {place[id(each.contender)]: each for each in verdict.standings if id(each.contender) in place}
    top = next((index for index in sorted(standings) if not standings[index].ruled_out), None)
    shares = compared.probability_best

    def related(each: Standing) -> Standing:
        index = place.get(id(each.contender))
        if index is None:
            return each
        if top is None or index == top:
            return replace(each, probability_best=shares[index], relation="not compared" if top is None else "recommended")
        difference = compared.difference(index, top)
        apart = difference.p <= SIGNIFICANCE_LEVEL
        relation = ("worse" if difference.value < 0 else "better") if apart else "not separated"
        return replace(each, probability_best=shares[index], difference=difference, relation=relation)

    return replace(verdict, standings=tuple(map(related, verdict.standings)))


def _kind(verdict: Verdict, recommended: Standing) -> Kind:
    """Return `no training` where a baseline scores at least as high as the recommended contender."""
    assert recommended.score is not None
    return "no training" if any(each.score.value >= recommended.score.value for each in verdict.baselines) else "use"


def _as_good(standing: Standing, within: float) -> bool:
    """Return whether a contender is the recommended one, or is shown to be at most `within` below it, and breaks no constraint."""
    shown = standing.difference is not None and standing.difference.low >= -within
    return not standing.ruled_out and (standing.relation == "recommended" or shown)


def _against(baseline: Baseline, score: Estimate, error: float) -> Baseline:
    """Return a baseline with the answer whether the recommended score is shown to be above it (rows taken as unpaired, two-sided 95 %)."""
    half = Z_95 * math.hypot(error, without_training.standard_error(baseline.score))
    within_own = score.low is not None and score.low > baseline.score.value
    return replace(baseline, shown_worse=within_own and score.value - half > baseline.score.value)


def _standing(contender: ContenderResult, rows: Sequence[ResultRow], protocol: Protocol) -> Standing:
    """Return a contender before any comparison; with one seed its interval covers the rows alone."""
    score = None
    if len(rows) == 1 and rows[0].record is not None:
        score = Estimate(_mean(rows), rows[0].record.score.low, rows[0].record.score.high)
    elif rows:
        score = Estimate(_mean(rows))
    broken = broken_constraints(contender, decide=protocol.decide, usd_per_hour=protocol.usd_per_hour) if rows and contender.trains else ()
    return Standing(contender, score, seeds=len(rows), ruled_out=broken)


def _by_score(standings: Iterable[Standing]) -> tuple[Standing, ...]:
    return tuple(sorted(standings, key=lambda each: (each.score is None, *_high_and_cheap(each.contender, each.score.value if each.score else 0.0))))


def _high_and_cheap(contender: ContenderResult, mean: float) -> tuple[float, ...]:
    """Return a sort key: means that differ by rounding alone are equal, and then the fewer parameters, then the less time comes first."""
    costs = (math.inf if cost is None else float(cost) for cost in (contender.trainable_params, contender.train_s))
    return (-round(mean, 12), *costs)


def _mean(rows: Sequence[ResultRow]) -> float:
    return math.fsum(row.score or 0.0 for row in rows) / len(rows)


def _unknown(contenders: Sequence[ContenderResult], found: CommonRows) -> tuple[str, ...]:
    absent = missing(contenders)
    return (*found.left_out, *absent, *untuned_settings(contenders))


def _not_compared(verdict: Verdict) -> list[str]:
    """Name the contenders that have a score and take no part in the comparison."""
    names = [each.contender.spoken for each in verdict.standings if each.relation == "not compared" and each.score and each.contender.trains]
    return [f"one seed, so not compared: {listed(names)}"] if names else []
