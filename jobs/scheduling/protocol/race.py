"""Racing: which contenders get another seed (`[replicate] seeds = { race = [3, 10] }`).

Contenders of the same model and task race with each other. At a look all that still run are compared at the level that
`loretta_core/report/inference/racing.py` allows it; who is clearly worse gets no further seed and keeps the results that it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from loretta_core.config.sweep.contenders import GridContender
from loretta_core.config.sweep.protocol import Replicate
from loretta_core.report.units import counted
from loretta_core.store.predictions import find_predictions
from loretta_core.store.records import Record


def next_look(contenders: Sequence[GridContender], records: Mapping[str, Record], *, out: Path, replicate: Replicate) -> tuple[GridContender, ...]:
    """Return the contenders after the next look: eliminated, or with one more seed; the same ones when the race is over.

    Args:
        records: of finished replicates, by cell id. All replicates so far are over.
    """
    changed = list(contenders)
    groups: dict[tuple[str, str], list[int]] = {}
    for index, contender in enumerate(contenders):
        if contender.chosen is not None and contender.eliminated_at is None:
            groups.setdefault((contender.cell.model.model_dump_json(), contender.cell.task.model_dump_json()), []).append(index)
    for members in groups.values():
        running = [contenders[index] for index in members]
        for index, contender in zip(members, _look(running, records, out=out, replicate=replicate), strict=True):
            changed[index] = contender
    return tuple(changed)


def _look(running: Sequence[GridContender], records: Mapping[str, Record], *, out: Path, replicate: Replicate) -> list[GridContender]:
    """Return the running contenders of one model and task after a look."""
    seeds = min(contender.seeds for contender in running)
    if len(running) == 1 or seeds >= replicate.most:
        return list(running)
    level = _levels(replicate.looks)[replicate.looks.index(seeds)]
    worse = clearly_worse(running, records, out=out, level=level)
    after = [
        replace(
            contender, eliminated_at=seeds, notes=(*contender.notes, f"clearly worse than another contender after {counted(seeds, 'seed')}: no further ones")
        )
        if index in worse and contender.seeds == seeds
        else contender
        for index, contender in enumerate(running)
    ]
    left = [contender for contender in after if contender.eliminated_at is None]
    if len(left) == 1:
        return after
    return [replace(each, seeds=seeds + 1) if each.eliminated_at is None and each.seeds == seeds else each for each in after]


def clearly_worse(contenders: Sequence[GridContender], records: Mapping[str, Record], *, out: Path, level: float) -> set[int]:
    """Return the indices of the contenders that another one beats at this level; none where their test rows or metrics differ, or too few seeds are scored."""
    replicates = [[records[cell.cell_id] for cell in contender.replicates if cell.cell_id in records] for contender in contenders]
    found = find_predictions(out, {record.cell_id: record for group in replicates for record in group}).predictions
    compared = [(index, [(record, found[record.cell_id]) for record in group if record.cell_id in found]) for index, group in enumerate(replicates)]
    compared = [(index, scored) for index, scored in compared if len(scored) > 1]
    kinds = {(given.metric, given.test_sha256) for _, scored in compared for _, given in scored}
    if len(compared) < 2 or len(kinds) != 1:
        return set()
    from loretta_core.report.inference.components import SeedScores, estimate
    from loretta_core.report.inference.racing import eliminated

    scores = [SeedScores.from_predictions([record.score.value or 0.0 for record, _ in scored], [given for _, given in scored]) for _, scored in compared]
    return {compared[index][0] for index in eliminated(estimate(scores), level=level)}


def _levels(looks: Sequence[int]) -> list[float]:
    from loretta_core.report.inference.racing import levels  # scipy, which only a race needs

    return levels(looks)
