"""A verdict in words: a short block of lines, the answer first. The same lines stand in the terminal, in Markdown, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Sequence

from loretta_core.report import units
from loretta_core.report.verdict.contenders import ContenderResult
from loretta_core.report.verdict.ranks import MeanRank
from loretta_core.report.verdict.values import Difference, Estimate, Standing, Verdict
from loretta_core.store.manifest import RaceSeeds

MAX_NAMED = 5
"""Contenders, failures or gaps that a line names; it counts the others."""


def lines(verdict: Verdict, *, name_model: bool) -> list[str]:
    """Return the verdict on one task and model, the answer first.

    Args:
        name_model: several models are compared, so that the first line has to name its own.
    """
    where = f"{verdict.task} with {verdict.model}" if name_model else verdict.task
    more = [_others(verdict), _cheapest(verdict), _worse(verdict), _ruled_out(verdict), _baselines(verdict), _power(verdict), verdict.budget]
    more += [_listed("Tuning", verdict.tuning), _listed("Failures", verdict.failures), _listed("Not known", verdict.unknown)]
    return [_answer(verdict, where), *(line for line in more if line)]


def all_lines(verdicts: Sequence[Verdict], ranks: Sequence[MeanRank] = (), *, name_model: bool | None = None) -> list[str]:
    """Return the lines of all verdicts, those below an answer indented, and the mean ranks. Models are named where there are several."""
    several = len({verdict.model for verdict in verdicts}) > 1
    found = []
    for verdict in verdicts:
        first, *others = lines(verdict, name_model=several if name_model is None else name_model)
        found += [first, *(f"  {line}" for line in others)]
    return [*found, *rank_lines(ranks)]


def rank_lines(ranks: Sequence[MeanRank]) -> list[str]:
    """Return one line on the mean ranks over tasks and models; none where there is one of them."""
    if not ranks:
        return []
    said = ", ".join(f"{rank.name} {rank.mean:.2f} ({rank.low:.2f} to {rank.high:.2f})" for rank in ranks[:MAX_NAMED])
    return [f"Mean rank over {ranks[0].groups} tasks and models (1 is the highest score; 95 % of draws): {said}{_and_more(len(ranks))}."]


def race_lines(race: RaceSeeds | None, contenders: Sequence[ContenderResult]) -> list[str]:
    """Return one line on what a race saved and who was eliminated; none without a race."""
    if race is None:
        return []
    out = [f"{contender.spoken} after {contender.eliminated_at}" for contender in contenders if contender.eliminated_at is not None]
    eliminated = f"no further seeds for {units.listed(out)}" if out else "nobody was eliminated"
    return [f"Race: {race.trained} of {race.full} seeds trained (compared after {', '.join(map(str, race.looks))} seeds); {eliminated}."]


def _answer(verdict: Verdict, where: str) -> str:
    top = verdict.recommended
    if verdict.kind == "validation only":
        known = [each for each in verdict.standings if each.contender.trains and each.contender.validation is not None]
        best = max(known, key=lambda each: each.contender.validation or 0.0)
        score = units.share(best.contender.validation)
        return f"Highest on validation, not a verdict: {best.contender.spoken} on {where}, validation {verdict.metric} {score}. {_sentence(verdict.why)}."
    if top is None or top.score is None:
        alone = next((each for each in verdict.standings if each.score and each.contender.trains), None)
        said = f" {_named(alone)} has {verdict.metric} {_score(alone, verdict)}." if alone and len(verdict.standings) == 1 else ""
        return f"No verdict on {where}: {verdict.why}.{said}"
    if verdict.kind == "no training":
        first = max(verdict.baselines, key=lambda each: each.score.value)
        return (
            f"Use no training on {where}: {first.name} has {verdict.metric} {_interval(first.score)}, and no contender scores higher; "
            f"{_named(top)} has {_score(top, verdict)}."
        )
    return f"Use {_named(top)} on {where}: {verdict.metric} {_score(top, verdict)}, P(best) {_probability(top.probability_best)}."


def _named(standing: Standing) -> str:
    setting = standing.contender.setting
    return f"{standing.contender.spoken} ({setting})" if setting else standing.contender.spoken


def _score(standing: Standing, verdict: Verdict) -> str:
    assert standing.score is not None
    rows = f", {units.counted(verdict.rows, 'row')}" if verdict.rows else ""
    return f"{_interval(standing.score)} ({units.counted(standing.seeds, 'seed')}{rows})"


def _interval(score: Estimate) -> str:
    return units.with_interval(score.value, low=score.low, high=score.high)


def _probability(share: float | None) -> str:
    if share is None:
        return units.DASH
    return "> 0.99" if share > 0.995 else "< 0.01" if share < 0.005 else f"{share:.2f}"


def _others(verdict: Verdict) -> str:
    """Say whether the recommended contender is the best, or which others are not separated from it."""
    if verdict.recommended is None:
        return ""
    equal, compared = verdict.of_relation("not separated"), [each for each in verdict.standings if each.difference]
    if verdict.is_best:
        others = "the other one" if len(compared) == 1 else f"all {len(compared)} others"
        return f"Best: separated from {others} (95 %, all pairs at once)."
    said = f"Not separated from {_differences(equal)}." if equal else ""
    better = verdict.of_relation("better")
    return f"{said} {'Higher, but ruled out: ' + _differences(better) + '.' if better else ''}".strip()


def _worse(verdict: Verdict) -> str:
    worse = verdict.of_relation("worse")
    return f"Worse: {_differences(worse)}." if worse else ""


def _differences(standings: Sequence[Standing]) -> str:
    said = ", ".join(f"{each.contender.spoken} {_difference(each.difference)}" for each in standings[:MAX_NAMED] if each.difference)
    return said + _and_more(len(standings))


def _difference(difference: Difference) -> str:
    return f"({units.signed(difference.value)}, {units.signed(difference.low)} to {units.signed(difference.high)})"


def _cheapest(verdict: Verdict) -> str:
    top = verdict.recommended
    if top is None:
        return ""
    by_name: dict[str, list[str]] = {}
    for each in verdict.cheapest:
        if each.standing.contender is not top.contender:
            by_name.setdefault(_named(each.standing), []).append(f"{each.cost} ({each.text})")
    if not by_name:
        return f"No cheaper contender is shown to be within {verdict.within:g} of it."
    return (
        f"Cheapest that is shown to be within {verdict.within:g} of it: "
        + "; ".join(f"{name} by {' and '.join(costs)}" for name, costs in by_name.items())
        + "."
    )


def _ruled_out(verdict: Verdict) -> str:
    out = [f"{each.contender.spoken} ({'; '.join(each.ruled_out)})" for each in verdict.standings if each.ruled_out]
    return _listed("Ruled out by [decide]", out)


def _baselines(verdict: Verdict) -> str:
    if not verdict.baselines:
        return ""
    said = ", ".join(f"{_interval(each.score)} ({each.name})" for each in verdict.baselines)
    unbeaten = [each.name for each in verdict.baselines if not each.shown_worse]
    doubt = f"; not shown to be above {' and '.join(unbeaten)}" if unbeaten and verdict.recommended else ""
    return f"Without training: {said}{doubt}."


def _power(verdict: Verdict) -> str:
    if verdict.smallest_difference is None or verdict.needed is None:
        return ""
    said = f"A difference of {verdict.smallest_difference:.3f} would have been shown with probability 0.8"
    if verdict.smallest_difference >= 1:
        said = "With so few seeds and rows no difference below 1 would have been shown with probability 0.8"
    if verdict.is_best or not verdict.of_relation("not separated"):
        return f"{said}."
    needed = verdict.needed
    ways = [f"{units.count(needed.seeds)} seeds each" if needed.seeds else "", f"{units.count(needed.rows)} test rows" if needed.rows else ""]
    how = " or ".join(way for way in ways if way)
    told = (
        f"about {how} would separate {needed.first} from {needed.second}"
        if how
        else f"no number of seeds or rows alone would separate {needed.first} from {needed.second}"
    )
    return f"{said}; {told}, if they differ by what was seen."


def _listed(title: str, items: Sequence[str]) -> str:
    return f"{title}: {'; '.join(items[:MAX_NAMED])}{_and_more(len(items))}." if items else ""


def _and_more(count: int) -> str:
    return f" and {count - MAX_NAMED} more" if count > MAX_NAMED else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
