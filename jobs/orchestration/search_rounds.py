"""The rounds of a sweep with a search: each is drawn from the results so far, written to the manifest, checked, and fetched from the mirror where it can be."""

from __future__ import annotations

from pathlib import Path

from jobs.orchestration.preflight import check_inputs
from jobs.scheduling.optuna_search import draw_round
from jobs.storage.ledger import unfinished
from jobs.storage.mirror import Mirror
from loretta_core.config import CellConfig, SweepConfig
from loretta_core.store.manifest import write_manifest


class SearchRounds:
    """A sweep whose cells become more from round to round; without a search it has all of them from the start.

    Args:
        config: with the samples that were drawn before (`loretta_core/store/search_state.py`); the attribute of this name has the later ones, too.
        mirror: where cells may be finished that are not in `out`.
    """

    def __init__(self, config: SweepConfig, *, out: Path, mirror: Mirror | None = None) -> None:
        self.config = config
        self._out = out
        self._mirror = mirror

    @property
    def cells_per_round(self) -> int:
        """The number of cells of a round, seeds aside; 0 without a search."""
        rounds = self.config.rounds
        return 0 if rounds is None else rounds.search.per_round * len(rounds.tried)

    def next_round(self) -> list[CellConfig]:
        """Draw until there are cells that no sweep has finished, and return these; none when the search is over."""
        while (config := draw_round(self.config, out=self._out)) is not None:
            known = {cell.cell_id for cell in self.config.cells}
            self.config = config
            write_manifest(self._out, sweep=config)
            new = [cell for cell in config.cells if cell.cell_id not in known]
            check_inputs(new)
            if self._mirror is not None:
                self._mirror.fetch(unfinished(self._out, new))
            if missing := unfinished(self._out, new):
                return missing
        return []
