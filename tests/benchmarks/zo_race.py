"""How soon each zeroth-order trainer makes 90 % of AdamW's gain over zero-shot: a table from the records of a sweep.

    loretta sweep jobs/sweeps/zo_trainers.toml && python tests/benchmarks/zo_race.py outputs jobs/sweeps/zo_trainers.toml

    target of a (method, seed) = zero-shot + 0.9 · (AdamW's best − zero-shot)          scores on the validation rows
    steps                      = of the first evaluation that reaches it; forwards and seconds are those of the steps up to there, evaluation not included

Medians over the seeds that reach it; a trainer that misses it in the steps it was given is listed with how many seeds did reach. The test score is that of the
chosen weights, mean and standard deviation over the seeds.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loretta_core.config.load import load_sweep
from loretta_core.report.records import Record, find_records

SHARE = 0.9
HEADER = ("method", "trainer", "lr", "reached", "steps", "forwards", "seconds", "test score")


@dataclass(frozen=True)
class Arrival:
    """What a run had cost when it reached its target."""

    steps: int
    forwards: float
    seconds: float


def main() -> None:
    out, sweep = Path(sys.argv[1]), Path(sys.argv[2])
    records = find_records(out, [cell.cell_id for cell in load_sweep(sweep).cells])
    lines = [HEADER, *rows(records.values())]
    print("| " + " | ".join(lines[0]) + " |\n|---|---|---:|---:|---:|---:|---:|---:|")
    for line in lines[1:]:
        print("| " + " | ".join(line) + " |")


def rows(records: Iterable[Record]) -> Iterator[tuple[str, ...]]:
    """One line per method, trainer and learning rate."""
    groups: dict[tuple[str, str, float], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.cell["method"]["type"], record.cell["trainer"]["type"], record.cell["trainer"]["lr"]].append(record)
    best = {(method, record.cell["seed"]): record for (method, trainer, _), group in groups.items() if trainer == "adam" for record in group}
    for (method, trainer, lr), group in sorted(groups.items()):
        judged = [(record, best[method, record.cell["seed"]]) for record in group if (method, record.cell["seed"]) in best]
        arrivals = [found for record, adam in judged if (found := arrival(record, adam)) is not None]
        yield (method, trainer, f"{lr:g}", f"{len(arrivals)}/{len(judged)}", *medians(arrivals), scores(group))


def arrival(record: Record, adam: Record) -> Arrival | None:
    """Where a run reaches its share of AdamW's gain; None if it does not."""
    curve = record.curves["validation_score"]
    zero, top = curve[0][1], adam.validation_score
    assert top is not None
    step = next((step for step, score in curve[1:] if score >= zero + SHARE * (top - zero)), None)
    if step is None:
        return None
    assert record.steps
    assert record.forwards is not None
    assert record.train_seconds is not None
    part = step / record.steps
    return Arrival(step, record.forwards * part, record.train_seconds * part)


def medians(arrivals: list[Arrival]) -> tuple[str, str, str]:
    """Of steps, forwards and seconds."""
    if not arrivals:
        return "–", "–", "–"
    return tuple(f"{statistics.median(getattr(one, name) for one in arrivals):,.0f}" for name in ("steps", "forwards", "seconds"))


def scores(group: list[Record]) -> str:
    """Mean ± standard deviation."""
    values = [record.score for record in group if record.score is not None]
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


if __name__ == "__main__":
    main()
