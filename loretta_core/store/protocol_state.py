"""The state of a sweep with `[tune]` or `[replicate]`, read from its manifest, and the winners that it takes from another sweep.

A winner that was noted stays: the same start on the same file has the same replicates, whatever became of a trial since. It is chosen anew only where the
contender has other trials than it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loretta_core.config import CellConfig, SweepConfig
from loretta_core.config.method import MethodConfig
from loretta_core.config.sweep.contenders import GridContender, sample_of
from loretta_core.config.sweep.protocol import Replicate
from loretta_core.config.sweep.search import Sample
from loretta_core.config.sweep.spaces import has_setting
from loretta_core.errors import ConfigError, OutputError
from loretta_core.store.manifest import Contender, Manifest, read_manifest

TUNED_FIELDS = ("batch_size", "precision")
"""Settings of a cell beside those of its method and trainer that one sweep may have tuned for another."""


def restore_protocol(config: SweepConfig, out: Path) -> SweepConfig:
    """Return the sweep with the winners of the sweep that `tune.from` names, and with what its own manifest says of its contenders.

    Raises ConfigError when the other sweep cannot be read, or shares no contender with this one. A damaged manifest of its own costs nothing but the choices:
    the same results make the same ones.
    """
    if not config.contenders:
        return config
    contenders = [*_with_first(config)]
    try:
        manifest = read_manifest(out, name=config.name)
    except OutputError:
        return config.with_contenders(contenders)
    return config.with_contenders(_restored(contender, manifest, replicate=config.replicate) for contender in contenders)


def _restored(contender: GridContender, manifest: Manifest, *, replicate: Replicate | None) -> GridContender:
    noted = _noted(contender, manifest)
    if noted is None:
        return contender
    contender = _with_trials(contender, noted, manifest)
    if contender.tuned and noted.winner is not None and [trial.cell_id for trial in contender.trials] == [*noted.trials] and not contender.lacks_trials:
        contender = replace(contender, winner=noted.winner, notes=noted.notes)
    if replicate is None or not contender.decided or noted.winner != contender.winner:
        return contender
    if not replicate.looks:
        return replace(contender, seeds=replicate.first)
    seeds = min(max(len(noted.replicates), replicate.first), replicate.most)
    at = noted.eliminated_at if noted.eliminated_at == seeds else None
    return replace(contender, seeds=seeds, eliminated_at=at, notes=noted.notes)


def _noted(contender: GridContender, manifest: Manifest) -> Contender | None:
    """Return the entry of a contender: that with the same first trial, or, where nothing is tuned, the same first replicate."""
    if contender.tuned:
        return next((noted for noted in manifest.contenders if noted.trials and noted.trials[0] == contender.cell.cell_id), None)
    first = next(iter(contender.replicates), None)
    return next((noted for noted in manifest.contenders if first is not None and not noted.trials and first.cell_id in noted.replicates), None)


def _with_trials(contender: GridContender, noted: Contender, manifest: Manifest) -> GridContender:
    """Return the contender with the number of trials that its budget was turned into, and with the trials that results suggested."""
    if not contender.tuned:
        return contender
    if contender.count is None:
        contender = replace(contender, count=noted.trials_wanted)
    known = tuple(trial.cell_id for trial in contender.trials)
    if not contender.lacks_trials or noted.trials[: len(known)] != known:
        return contender
    later = noted.trials[len(known) : len(known) + contender.lacks_trials]
    return replace(contender, drawn=tuple(manifest.resolved[cell_id] for cell_id in later))


def _with_first(config: SweepConfig) -> Iterator[GridContender]:
    """Yield the contenders with the winners of another sweep as trials."""
    if config.tune is None or config.tune.from_sweep is None:
        yield from config.contenders
        return
    path = Path(config.tune.from_sweep)
    winners = [*_winners(read_manifest(path.parent.parent, name=path.name))]
    if not any(winner.fits(contender) for winner in winners for contender in config.contenders):
        raise ConfigError(f"tune.from = {config.tune.from_sweep!r}: none of its {len(winners)} winners has the method and the trainer of a contender")
    for contender in config.contenders:
        yield _with_winners(contender, [winner for winner in winners if winner.fits(contender)], sweep=path.name) if contender.tuned else contender


def _with_winners(contender: GridContender, winners: Sequence[PastWinner], *, sweep: str) -> GridContender:
    samples: list[Sample] = []
    notes = [] if winners else [f"{sweep} has no winner of this method and trainer"]
    for winner in winners:
        names = dict.fromkeys([*winner.tuned, *(name for name in contender.space or () if has_setting(winner.cell, name))])
        sample = sample_of(winner.cell, names)
        if sample == sample_of(contender.cell, names):
            notes.append(f"the first trial has the settings that won in {sweep} ({winner.where})")
        else:
            notes.append(f"tried first: what won in {sweep} ({winner.where})")
            samples += [sample] * (sample not in samples)
    return replace(contender, first=tuple(samples), notes=(*contender.notes, *notes))


@dataclass(frozen=True)
class PastWinner:
    """A winner of another sweep."""

    cell: CellConfig
    method: MethodConfig
    """The method that it was tuned for, as the file of its sweep has it."""
    tuned: tuple[str, ...]
    """Dotted settings in which it differs from the first trial."""

    @property
    def where(self) -> str:
        """Its model and task."""
        return f"{self.cell.model.caption}, {self.cell.task.type}"

    def fits(self, contender: GridContender) -> bool:
        """Return whether the contender has the same method and the same trainer; steps and other settings of the trainer may differ."""
        return self.method == contender.cell.method and self.cell.trainer.type == contender.cell.trainer.type


def _winners(manifest: Manifest) -> Iterator[PastWinner]:
    for contender in manifest.contenders:
        if contender.winner is not None:
            base, winner = manifest.resolved[contender.trials[0]], manifest.resolved[contender.winner]
            yield PastWinner(winner, base.method, tuple(_differing(base, winner)))


def _differing(base: CellConfig, winner: CellConfig) -> list[str]:
    """Return the dotted settings in which two trials of a contender differ."""
    found = [name for name in TUNED_FIELDS if getattr(base, name) != getattr(winner, name)]
    for component in ("method", "trainer"):
        before, after = getattr(base, component).model_dump(), getattr(winner, component).model_dump()
        found += [f"{component}.{name}" for name, value in after.items() if before.get(name) != value]
    return found
