"""Findings of a sweep: its contenders, and the verdicts on them, which are made when they are first asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from loretta_core.report.rows import ResultRow
from loretta_core.report.tables import Table
from loretta_core.report.verdict.contenders import ContenderResult, build_contenders
from loretta_core.report.verdict.decide import Protocol, verdicts
from loretta_core.report.verdict.presentation.sentences import all_lines, race_lines
from loretta_core.report.verdict.presentation.table import contender_table, contenders_json
from loretta_core.report.verdict.ranks import MeanRank, mean_ranks
from loretta_core.report.verdict.values import Standing, Verdict
from loretta_core.store.manifest import Manifest, RaceSeeds
from loretta_core.store.predictions import Predictions


@dataclass(frozen=True)
class Findings:
    """Everything that a sweep has found."""

    contenders: tuple[ContenderResult, ...]
    predictions: Mapping[str, Predictions]
    protocol: Protocol
    race: RaceSeeds | None = None

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdict on each task and model."""
        return verdicts(self.contenders, predictions=self.predictions, protocol=self.protocol)

    @cached_property
    def ranks(self) -> tuple[MeanRank, ...]:
        """Mean ranks over several tasks and models; empty for one."""
        return mean_ranks(self.contenders, self.predictions)

    @cached_property
    def lines(self) -> list[str]:
        """The verdicts in words; lines that belong to the one above are indented."""
        return [*all_lines(self.verdicts, self.ranks), *race_lines(self.race, self.contenders)]

    @property
    def table(self) -> Table:
        """The table by contender."""
        return contender_table(self.verdicts)

    @property
    def standings(self) -> list[Standing]:
        """The contenders of all verdicts, with their scores."""
        return [standing for verdict in self.verdicts for standing in verdict.standings]

    def verdicts_json(self) -> list[dict[str, Any]]:
        """Return the verdicts with unrounded numbers and their lines in words."""
        several = len({verdict.model for verdict in self.verdicts}) > 1
        return [{**verdict.to_json(), "lines": all_lines([verdict], name_model=several)} for verdict in self.verdicts]

    def contenders_json(self) -> list[dict[str, Any]]:
        """Return the contenders with unrounded numbers."""
        return contenders_json(self.verdicts)

    def ranks_json(self) -> list[dict[str, Any]]:
        """Return the mean ranks over several tasks and models."""
        return [{"contender": rank.name, "mean_rank": rank.mean, "low": rank.low, "high": rank.high, "groups": rank.groups} for rank in self.ranks]


def find(manifest: Manifest, rows: Sequence[ResultRow], *, predictions: Mapping[str, Predictions]) -> Findings:
    """Return the findings of a sweep."""
    protocol = Protocol(manifest.decide, manifest.algorithm, manifest.usd_per_hour)
    return Findings(build_contenders(manifest, rows), predictions, protocol, manifest.race)
