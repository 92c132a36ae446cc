"""The part of a cell in its sweep, as tracking stores are told of it: the name of its run, its contender, its role, and whether it was chosen.

Made from the manifest, which grows while trials are chosen and replicated; so a store is told again when the sweep is over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loretta_core.config import COMPONENTS, CellConfig
from loretta_core.errors import OutputError
from loretta_core.report.labels import component_labels, varying_columns
from loretta_core.store.manifest import MANIFEST_NAME, Manifest, read_manifest, sweep_directory

NAME_LENGTH = 250
"""Most characters of a run's name, as PostgreSQL has it."""


@dataclass(frozen=True)
class Part:
    """The part of one cell in a sweep."""

    name: str
    """Every setting that varies in the sweep, and the seed: `lora r=4 · adam lr=0.001 · seed 0`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """contender, role (trial, replicate), chosen (true, false), trial (its number)."""

    @property
    def digest(self) -> str:
        """Digest of all of it."""
        return hashlib.sha256(json.dumps([self.name, sorted(self.tags.items())]).encode()).hexdigest()[:16]


def parts(manifest: Manifest) -> dict[str, Part]:
    """Return cell id → its part in a sweep."""
    cells = [manifest.resolved[cell_id] for cell_id in manifest.cells]
    tags = _contender_tags(manifest)
    return {cell.cell_id: Part(name, tags.get(cell.cell_id, {})) for cell, name in zip(cells, run_names(cells), strict=True)}


def run_names(cells: list[CellConfig]) -> list[str]:
    """Return a name for each cell with everything in which the cells differ; method, trainer and seed are always said."""
    labels = component_labels(cells)
    shown = [name for name in COMPONENTS if name in ("method", "trainer") or len({label[name] for label in labels}) > 1]
    extra = [name for name in varying_columns(cells) if name != "seed"]
    return [
        _cut(" · ".join([*(label[name] for name in shown), *(f"{name}={getattr(cell, name)}" for name in extra), f"seed {cell.seed}"]))
        for cell, label in zip(cells, labels, strict=True)
    ]


def _cut(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"


class SweepFacts:
    """The parts of the cells of one sweep, as its manifest has them now; it is read again when it has changed."""

    def __init__(self, out: Path, *, name: str) -> None:
        self._out = out
        self._name = name
        self._read_at = -1
        self._parts: dict[str, Part] = {}

    def part(self, cell: CellConfig) -> Part:
        """Return the part of a cell, its label alone where the sweep has no manifest or does not name it."""
        try:
            written = (sweep_directory(self._out, name=self._name) / MANIFEST_NAME).stat().st_mtime_ns
            if written != self._read_at:
                self._parts, self._read_at = parts(read_manifest(self._out, name=self._name)), written
        except (OSError, OutputError):
            return Part(cell.label)
        return self._parts.get(cell.cell_id) or Part(cell.label)


def _contender_tags(manifest: Manifest) -> dict[str, dict[str, str]]:
    """Return the tags of the cells of a sweep with [tune] or [replicate]; a trial that is a replicate, too, has the tags of a trial."""
    found: dict[str, dict[str, str]] = {}
    for contender in manifest.contenders:
        common = {"contender": contender.name}
        for cell_id in contender.replicates:
            found[cell_id] = {**common, "role": "replicate"}
        for number, cell_id in enumerate(contender.trials, start=1):
            chosen = {} if contender.winner is None else {"chosen": str(cell_id == contender.winner).lower()}
            found[cell_id] = {**common, "role": "trial", "trial": str(number), **chosen}
    return found
