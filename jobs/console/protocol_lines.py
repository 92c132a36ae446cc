"""The protocol of a sweep in words: how many trials its contenders get, and which replicates follow."""

from __future__ import annotations

from collections.abc import Iterator

from loretta_core.config import SweepConfig
from loretta_core.config.sweep.contenders import GridContender
from loretta_core.config.sweep.protocol import FIRST_REPLICATE_SEED, Tune
from loretta_core.report.labels import contender_names
from loretta_core.report.units import counted


def protocol_lines(config: SweepConfig) -> Iterator[str]:
    """Yield what [tune] and [replicate] ask for, in a line each; nothing for a sweep without them."""
    contenders = config.contenders
    if config.tune is not None:
        trials = sorted({contender.count for contender in contenders if contender.tuned and contender.count is not None})
        most = f"{trials[0]} to {counted(trials[-1], 'trial')}" if len(trials) > 1 else counted(trials[0], "trial") if trials else "no trials"
        how = "Optuna suggests the later ones from the scores of the earlier; " if config.tune.algorithm == "optuna" else ""
        yield f"tune: {counted(len(contenders), 'contender')}, {most} each; {how}validation rows choose the winners, test rows are not read"
    if config.replicate is not None:
        low, high = config.replicate.first, config.replicate.most
        number = counted(low, "seed") if low == high else f"{low} to {high} seeds in a race"
        who = "the winner of each contender" if config.tune is not None else "each of " + counted(len(contenders), "contender")
        yield f"replicate: {who} with {number}, from {FIRST_REPLICATE_SEED} on; only these are scored on the test rows"


def contender_lines(config: SweepConfig) -> Iterator[str]:
    """Yield a line for every contender: its trials and what they are sampled from, or its winner, and its notes."""
    names = contender_names([contender.cell for contender in config.contenders])
    for name, contender in zip(names, config.contenders, strict=True):
        yield f"contender {name}: {_state(contender)}"
        yield from (f"  {note}" for note in contender.notes)


def _state(contender: GridContender) -> str:
    if not contender.tuned:
        return f"not tuned, {counted(contender.seeds, 'replicate')}"
    if contender.winner is not None:
        return f"{counted(len(contender.trials), 'trial')}, the winner is {contender.winner}, {counted(contender.seeds, 'replicate')} so far"
    return f"{counted(contender.count or 0, 'trial')} from {_space(contender)}; replicates follow"


def _space(contender: GridContender) -> str:
    assert contender.space is not None
    ranges = ", ".join(
        f"{name} {values}" if isinstance(values, list) else f"{name} {values.low:g} to {values.high:g}" for name, values in contender.space.items()
    )
    return f"{ranges} ({'its default ranges' if _default(contender.tune) else 'tune.space'})"


def _default(tune: Tune | None) -> bool:
    return tune is not None and tune.space is None
