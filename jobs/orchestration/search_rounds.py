"""The rounds of a sweep whose cells depend on results: a search, or the protocol of `[tune]` and `[replicate]`.

Each round is a function of the records so far. It is written to the manifest before it is computed, checked, and fetched from the mirror where it can be.
"""

from __future__ import annotations

from pathlib import Path

from jobs.orchestration.preflight import check_inputs
from jobs.scheduling.optuna_search import draw_round
from jobs.scheduling.protocol.stages import next_stage
from jobs.storage.ledger import unfinished
from jobs.storage.mirror import Mirror
from loretta_core.config import CellConfig, SweepConfig
from loretta_core.report.labels import contender_names
from loretta_core.report.roles import cell_roles
from loretta_core.store.manifest import manifest_of, write_manifest


class SearchRounds:
    """A sweep whose cells become more from round to round; without a search or a protocol it has all of them from the start.

    Args:
        config: with what was drawn and chosen before (`loretta_core/store/search_state.py`, `protocol_state.py`); the attribute of this name has the later
            rounds, too.
        mirror: where cells may be finished that are not in `out`.
    """

    def __init__(self, config: SweepConfig, *, out: Path, mirror: Mirror | None = None) -> None:
        self.config = config
        self._out = out
        self._mirror = mirror

    @property
    def cells_per_round(self) -> int:
        """The number of cells of a later round at most, seeds of a search aside; 0 where there is none."""
        if self.config.contenders:
            return len(self.config.contenders) * max(
                self.config.replicate.first if self.config.replicate else 1, self.config.tune.per_round if self.config.tune else 1
            )
        rounds = self.config.rounds
        return 0 if rounds is None else rounds.search.per_round * len(rounds.tried)

    def next_round(self) -> list[CellConfig]:
        """Go on until there are cells that no sweep has finished, and return these; none when the sweep is complete."""
        while (config := self._next_config()) is not None:
            known = {cell.cell_id for cell in self.config.cells}
            self.config = config
            write_named_manifest(config, self._out)
            new = [cell for cell in config.cells if cell.cell_id not in known]
            check_inputs(new)
            if self._mirror is not None:
                self._mirror.fetch(unfinished(self._out, new))
            if missing := unfinished(self._out, new):
                return missing
        return []

    def _next_config(self) -> SweepConfig | None:
        return next_stage(self.config, out=self._out) if self.config.contenders else draw_round(self.config, out=self._out)


def named_roles(config: SweepConfig) -> dict[str, str]:
    """Return cell id → role of the cell, with the short names of the manifest; empty for a sweep without a protocol."""
    return cell_roles(manifest_of(config, names=_short_names(config))) if config.contenders else {}


def write_named_manifest(config: SweepConfig, out: Path) -> None:
    """Write the manifest of a sweep, with short names for its contenders."""
    write_manifest(out, sweep=config, names=_short_names(config))


def _short_names(config: SweepConfig) -> list[str]:
    return contender_names([contender.cell for contender in config.contenders])
