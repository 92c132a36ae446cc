"""Gaps of a comparison in words: cells that failed, are missing or damaged, and what the design of the sweep cannot show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from loretta_core.report import units
from loretta_core.report.rows import ResultRow
from loretta_core.report.verdict.contenders import ContenderResult


def failures(contenders: Sequence[ContenderResult]) -> list[str]:
    """Return a sentence per contender whose seeds or trials failed or were stopped."""
    return [
        f"{contender.spoken}: {count} of {units.counted(len(rows), noun)} {_kind(rows)}"
        for contender in contenders
        for noun, rows in (("seed", contender.replicates), ("trial", contender.trials))
        if (count := sum(row.status in ("failed", "stopped early") for row in rows))
    ]


def missing(contenders: Sequence[ContenderResult]) -> list[str]:
    """Return sentences about cells that did not run, or whose files are damaged."""
    rows = [row for contender in contenders for row in (*contender.replicates, *contender.trials)]
    lines = [f"damaged: {row.name} ({row.cell_id}): {row.reason}" for row in rows if row.status == "damaged"]
    for noun, members in (("seed", [each.replicates for each in contenders]), ("trial", [each.trials for each in contenders])):
        absent = [sum(row.status == "not run" for row in found) for found in members]
        names = [contender.spoken for contender, number in zip(contenders, absent, strict=True) if number]
        if names:
            lines.append(f"{sum(absent)} of {units.counted(sum(map(len, members)), noun)} not run yet ({units.listed(names)})")
    waiting = [contender.spoken for contender in contenders if contender.trials and not contender.replicates]
    return [*lines, *([f"winner not decided yet: {units.listed(waiting)}"] if waiting else [])]


def untuned_settings(contenders: Sequence[ContenderResult]) -> list[str]:
    """Return a sentence where several settings of one method and trainer compete: they are contenders of their own, chosen by nobody."""
    types = Counter(_types(contender) for contender in contenders if not contender.trials)
    several = sorted({key for key, count in types.items() if count > 1})
    if not several:
        return []
    names = units.listed([f"{method} with {trainer}" for method, trainer in several])
    return [f"the settings of {names} are contenders of their own here, all compared at once on the test rows; to choose them on validation rows, use [tune]"]


def _kind(rows: Sequence[ResultRow]) -> str:
    """Return `failed (nan)` or `stopped early`, or both."""
    kinds = list(dict.fromkeys(row.record.error.kind for row in rows if row.status == "failed" and row.record and row.record.error))
    failed = any(row.status == "failed" for row in rows)
    said = ["failed" + (f" ({', '.join(kinds)})" if kinds else "")] if failed else []
    return " or ".join([*said, *(["stopped early"] if any(row.status == "stopped early" for row in rows) else [])])


def _types(contender: ContenderResult) -> tuple[str, str]:
    cell = (*contender.replicates, *contender.trials)[0].cell
    return cell.method.short_name, cell.trainer.short_name
