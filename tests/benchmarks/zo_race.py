"""Steps until each zeroth-order trainer makes 90 % of AdamW's gain over zero-shot: a table from the records of a sweep.

    loretta sweep jobs/sweeps/zo_trainers.toml && python tests/benchmarks/zo_race.py outputs jobs/sweeps/zo_trainers.toml [SWEEP …] [--alone DIR]

    target of a (method, seed) = zero-shot + 0.9 · (AdamW's best − zero-shot)          scores on the validation rows
    steps                      = of the first evaluation that reaches it; forwards and seconds are those of the steps up to there, evaluation not included

`--alone DIR` takes the seconds of a step from the output directory of the same sweep with one seed, computed with nothing beside it:

    loretta sweep jobs/sweeps/zo_trainers.toml --set seed=0 --set max_concurrent=1 --out DIR

Medians over the seeds that reach it; a trainer that misses it in the steps it was given is listed with how many seeds did reach. The test score is that of the
chosen weights, mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loretta_core.config.sweep.load import load_sweep
from loretta_core.store.record_files import find_records
from loretta_core.store.records import Record

SHARE = 0.9
HEADER = ("model", "method", "trainer", "lr", "reached", "steps", "forwards", "seconds", "test score")


Key = tuple[str, str, str, float]
"""Model, method, trainer, learning rate: a line of the table."""


@dataclass(frozen=True)
class Arrival:
    """Cost of a run when it reached its target."""

    steps: int
    forwards: float
    seconds: float


def main() -> None:
    """Print the table for the sweep that the command line names."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("out", type=Path, help="output directory of the sweeps")
    parser.add_argument("sweeps", type=Path, nargs="+", metavar="SWEEP")
    parser.add_argument("--alone", type=Path, metavar="DIR", help="where each cell of one seed had the machine to itself")
    options = parser.parse_args()
    ids = [cell.cell_id for sweep in options.sweeps for cell in load_sweep(sweep).cells]
    alone = step_times(find_records(options.alone, ids).records.values()) if options.alone else {}
    print("| " + " | ".join(HEADER) + " |\n|---|---|---|---:|---:|---:|---:|---:|---:|")
    for line in rows(find_records(options.out, ids).records.values(), alone=alone):
        print("| " + " | ".join(line) + " |")


def key_of(record: Record) -> Key:
    """The line that a record belongs to."""
    cell = record.cell
    return cell["model"]["name"], cell["method"]["type"], cell["trainer"]["type"], cell["trainer"]["lr"]


def step_times(records: Iterable[Record]) -> dict[Key, float]:
    """Seconds of a step."""
    return {key_of(record): record.cost.train_s / record.cost.steps for record in records if record.cost.train_s and record.cost.steps}


def rows(records: Iterable[Record], *, alone: Mapping[Key, float]) -> Iterator[tuple[str, ...]]:
    """One line per model, method, trainer and learning rate."""
    groups: dict[Key, list[Record]] = defaultdict(list)
    for record in records:
        groups[key_of(record)].append(record)
    best = {(*key[:2], record.cell["seed"]): record for key, group in groups.items() if key[2] == "adam" for record in group}
    for key, group in sorted(groups.items()):
        model, method, trainer, lr = key
        judged = [(record, best[model, method, record.cell["seed"]]) for record in group if (model, method, record.cell["seed"]) in best]
        arrivals = [found for record, adam in judged if (found := arrival(record, adam, step_s=alone.get(key))) is not None]
        yield (model, method, trainer, f"{lr:g}", f"{len(arrivals)}/{len(judged)}", *medians(arrivals), scores(group))


def arrival(record: Record, adam: Record, *, step_s: float | None) -> Arrival | None:
    """Return the cost at which a run reaches its share of AdamW's gain; None if it does not."""
    curve = record.curves["validation_score"]
    zero, top = curve[0][1], adam.score.validation
    assert top is not None
    step = next((step for step, score in curve[1:] if score >= zero + SHARE * (top - zero)), None)
    if step is None:
        return None
    assert record.cost.steps
    assert record.cost.forwards is not None
    assert record.cost.train_s is not None
    return Arrival(step, record.cost.forwards * step / record.cost.steps, step * (step_s or record.cost.train_s / record.cost.steps))


def medians(arrivals: list[Arrival]) -> tuple[str, str, str]:
    """Return the medians of steps, forwards and seconds."""
    if not arrivals:
        return "–", "–", "–"
    return tuple(f"{statistics.median(getattr(one, name) for one in arrivals):,.0f}" for name in ("steps", "forwards", "seconds"))


def scores(group: list[Record]) -> str:
    """Mean ± standard deviation."""
    values = [record.score.value for record in group if record.score.value is not None]
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


if __name__ == "__main__":
    main()
