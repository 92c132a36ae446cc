"""Contenders of a sweep: what is compared. A contender is a point of the grid with the cells that were trained for it.

    replicates    cells that differ in their seed alone and are scored on the test rows
    trials        settings that were tried for it on validation rows; the winner's are those of the replicates

A sweep with [tune] or [replicate] names them in its manifest. In any other sweep, cells that differ in their seed alone are replicates of one contender, and of
cells that differ in their learning rate as well those of the rate with the best validation score: a rate is never chosen on the test rows. Other settings, as
a rank, make contenders of their own. Nothing here needs numpy.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from loretta_core.config.cell import CellConfig
from loretta_core.config.price import price_usd
from loretta_core.report import units
from loretta_core.report.labels import differing_settings, settings_text
from loretta_core.report.rows import ResultRow
from loretta_core.store.manifest import Contender, Manifest
from loretta_core.store.records import Record


@dataclass(frozen=True)
class ContenderResult:
    """A contender with its cells."""

    task: str
    model: str
    method: str
    trainer: str
    name: str
    """Name without task and model: `lora · adam`."""
    replicates: tuple[ResultRow, ...]
    trials: tuple[ResultRow, ...] = ()
    winner: ResultRow | None = None
    """The trial that validation chose; None where nothing is tuned, or not decided yet."""
    notes: tuple[str, ...] = ()
    """Notes of its tuning: a near-tie, a value at the edge of its range."""
    eliminated_at: int | None = None
    """Seeds after which a race ended for it; None: it was not eliminated."""

    @property
    def spoken(self) -> str:
        """The name in a sentence: `lora with adam`."""
        return self.name.replace(" · ", " with ", 1).replace(" · ", ", ")

    @property
    def trains(self) -> bool:
        """True if anything is trained; a contender that is the model as it is serves as a baseline."""
        return all(row.cell.trainer.type != "none" for row in (*self.replicates, *self.trials))

    @property
    def scored(self) -> tuple[ResultRow, ...]:
        """Replicates with a score on the test rows, in the order of their seeds."""
        return tuple(sorted((row for row in self.replicates if row.score is not None), key=lambda row: (row.cell.seed, row.cell_id)))

    @property
    def scores(self) -> dict[int, float]:
        """Seed → score on the test rows."""
        return {row.cell.seed: row.score for row in self.scored if row.score is not None}

    @property
    def validation(self) -> float | None:
        """Validation score: the winner's, or without tuning the mean over the replicates."""
        rows = [self.winner] if self.winner else self.replicates
        found = [value for row in rows if (value := validation_score(row)) is not None]
        return statistics.fmean(found) if found else None

    @property
    def trial_scores(self) -> list[float]:
        """Validation scores of the trials that finished, in their order."""
        return [value for row in self.trials if (value := validation_score(row)) is not None]

    @property
    def trainable_params(self) -> int | None:
        """Trainable parameters, the median over replicates."""
        found = self._costs(lambda record: record.cost.trainable_params)
        return round(statistics.median(found)) if found else None

    @property
    def train_s(self) -> float | None:
        """Training time of one replicate, the median."""
        found = self._costs(lambda record: record.cost.train_s)
        return statistics.median(found) if found else None

    @property
    def peak_memory_bytes(self) -> int | None:
        """Peak memory of one replicate, the median."""
        found = self._costs(lambda record: record.cost.peak_memory_bytes)
        return round(statistics.median(found)) if found else None

    def prices(self, usd_per_hour: float | None) -> list[float]:
        """Return the price of each replicate's training on all its workers; empty where the price of a device is not known."""
        return self._costs(lambda record: _price_usd(record, usd_per_hour=usd_per_hour))

    @property
    def tuning_s(self) -> float | None:
        """Training time of all trials together; None without trials."""
        if not self.trials:
            return None
        return sum(row.record.cost.train_s or 0.0 for row in self.trials if row.record)

    @cached_property
    def setting(self) -> str:
        """The settings that tuning chose: `trainer.lr = 0.001`; empty where nothing is tuned."""
        chosen = self.winner or (self.replicates[0] if self.replicates else None)
        if chosen is None or not self.trials:
            return ""
        return settings_text(chosen.cell, self.tuned)

    @cached_property
    def tuned(self) -> list[str]:
        """Names of the settings in which the trials differ."""
        return differing_settings([row.cell for row in self.trials])

    def most(self, cost: Callable[[Record], float | None]) -> float | None:
        """Return the largest cost of a replicate; None where none is known."""
        return max(self._costs(cost), default=None)

    def _costs(self, cost: Callable[[Record], float | None]) -> list[float]:
        return [value for row in self.replicates if row.record is not None and row.score is not None and (value := cost(row.record)) is not None]


def _price_usd(record: Record, *, usd_per_hour: float | None) -> float | None:
    """Return the price of training; the record says what engine an `auto` cell got."""
    engine = record.cell.get("engine") or {}
    return price_usd(record.cost.train_s, workers=engine.get("workers", 1), gpus=engine.get("gpus", 0.0), usd_per_hour=usd_per_hour)


def build_contenders(manifest: Manifest, rows: Sequence[ResultRow]) -> tuple[ContenderResult, ...]:
    """Return the contenders of a sweep in the order of the rows."""
    if manifest.contenders:
        by_id = {row.cell_id: row for row in rows}
        found = (_named(contender, by_id) for contender in manifest.contenders)
        order = {row.cell_id: index for index, row in enumerate(rows)}
        return tuple(sorted((each for each in found if each), key=lambda each: min(order[row.cell_id] for row in (*each.replicates, *each.trials))))
    groups: dict[tuple[tuple[str, str], ...], list[ResultRow]] = {}
    for row in rows:
        groups.setdefault(tuple((name, value) for name, value in row.labels.items() if name != "seed"), []).append(row)
    rates: dict[str, list[list[ResultRow]]] = {}
    for members in groups.values():
        rates.setdefault(_but_for_the_rate(members[0].cell), []).append(members)
    return tuple(contender for settings in rates.values() for contender in _of_rates(settings))


def validation_score(row: ResultRow) -> float | None:
    """Return the validation score of a finished cell."""
    return row.record.score.validation if row.record and row.record.status == "finished" else None


def by_task_and_model(contenders: Iterable[ContenderResult]) -> dict[tuple[str, str], list[ContenderResult]]:
    """Return (task, model) → its contenders: scores are compared within one of these groups only."""
    groups: dict[tuple[str, str], list[ContenderResult]] = {}
    for contender in contenders:
        groups.setdefault((contender.task, contender.model), []).append(contender)
    return groups


def _of_one_setting(rows: Sequence[ResultRow]) -> ContenderResult:
    labels = rows[0].labels
    more = [f"{name} {value}" for name, value in labels.items() if name in ("precision", "batch_size")]
    name = " · ".join([labels["method"], labels["trainer"], *more])
    return ContenderResult(labels["task"], labels["model"], labels["method"], labels["trainer"], name, replicates=tuple(rows))


def _but_for_the_rate(cell: CellConfig) -> str:
    """Return the settings of a cell without seed, placement and learning rate, as text."""
    table = cell.to_dict()
    trainer = {name: value for name, value in table["trainer"].items() if name != "lr"}
    return json.dumps({**table, "trainer": trainer, "seed": None, "engine": None}, sort_keys=True)


def _of_rates(settings: Sequence[Sequence[ResultRow]]) -> list[ContenderResult]:
    """Return one contender for settings that differ in their learning rate: the rate is chosen by the mean validation score over its seeds.

    Several contenders where fewer than two rates have a validation score.
    """
    alone = [_of_one_setting(rows) for rows in settings]
    by_rate = sorted(alone, key=lambda each: getattr(each.replicates[0].cell.trainer, "lr", None) or 0.0)  # rows come by test score, which must not break a tie
    scored = sorted(((value, each) for each in by_rate if (value := each.validation) is not None), key=lambda pair: -pair[0])
    if len(scored) < 2:
        return alone
    (best, chosen), (second, _) = scored[:2]
    seeds = len(chosen.replicates)
    note = (
        f"of {len(settings)} learning rates, the best by {'mean ' if seeds > 1 else ''}validation score ({best:.3f}, next {second:.3f}); "
        f"the same {units.counted(seeds, 'seed')} {'are' if seeds > 1 else 'is'} scored on the test rows"
    )
    name, trainer = (" ".join(word for word in text.split(" ") if not word.startswith("lr=")) for text in (chosen.name, chosen.trainer))
    trials = tuple(_first_run(each.replicates) for each in by_rate)
    return [replace(chosen, name=name, trainer=trainer, trials=trials, winner=_first_run(chosen.replicates), notes=(note,))]


def _first_run(rows: Sequence[ResultRow]) -> ResultRow:
    """Return the row of the first seed that has a validation score, or the first of all."""
    return min(rows, key=lambda row: (validation_score(row) is None, row.cell.seed))


def _named(contender: Contender, by_id: Mapping[str, ResultRow]) -> ContenderResult | None:
    replicates = tuple(by_id[cell_id] for cell_id in contender.replicates if cell_id in by_id)
    trials = tuple(by_id[cell_id] for cell_id in contender.trials if cell_id in by_id)
    if not replicates and not trials:
        return None
    first = (*replicates, *trials)[0]
    winner = by_id.get(contender.winner) if contender.winner else None
    shared = {first.labels["model"], first.labels["task"], first.cell.model.caption, first.cell.task.type}
    name = " · ".join(part for part in contender.name.split(" · ") if part not in shared) or contender.name
    method, trainer = first.cell.method.short_name, first.cell.trainer.short_name
    task, model = first.labels["task"], first.labels["model"]
    return ContenderResult(task, model, method, trainer, name, replicates, trials, winner, notes=contender.notes, eliminated_at=contender.eliminated_at)
