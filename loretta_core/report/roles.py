"""The roles of cells in a sweep with `[tune]` or `[replicate]`, in words: `trial 3 of 8 of lora · adam (trainer.lr = 0.001)`, `seed 2 of 3 of lora · adam`."""

from __future__ import annotations

from collections.abc import Iterator

from loretta_core.config import CellConfig
from loretta_core.report.labels import differing_settings, settings_text
from loretta_core.store.manifest import Contender, Manifest


def cell_roles(manifest: Manifest) -> dict[str, str]:
    """Return cell id → role, for the trials and replicates of a sweep; a sample that came twice has the role of its first trial."""
    roles: dict[str, str] = {}
    for contender in manifest.contenders:
        for cell_id, role in (*_trials(contender, manifest), *_seeds(contender, manifest)):
            roles.setdefault(cell_id, role)
    return roles


def _trials(contender: Contender, manifest: Manifest) -> Iterator[tuple[str, str]]:
    cells = [manifest.resolved[cell_id] for cell_id in contender.trials]
    names = differing_settings(cells)
    wanted = max(contender.trials_wanted or 0, len(cells))
    for index, (cell_id, cell) in enumerate(zip(contender.trials, cells, strict=True)):
        yield cell_id, f"trial {index + 1} of {wanted} of {contender.name}{_setting(cell, names)}"


def _seeds(contender: Contender, manifest: Manifest) -> Iterator[tuple[str, str]]:
    most = f"at most {manifest.race.looks[-1]}" if manifest.race and manifest.race.looks else f"{len(contender.replicates)}"
    for index, cell_id in enumerate(contender.replicates):
        yield cell_id, f"seed {index + 1} of {most} of {contender.name}"


def _setting(cell: CellConfig, names: list[str]) -> str:
    return f" ({settings_text(cell, names)})" if names else ""
