"""Synthetic tables with known truth: how often intervals cover it, and how often a contender is wrongly called best.

    python -m tests.loretta_core.report.scenarios.simulate [--draws 2000] [--out FILE]

Rows are right or wrong by a probit model with the parts of `components.py`: x = 1 if μ_i + a_is + b_r + c_ir + e_isr > 0; b is shared by all contenders, c is a
contender's own. The true score over seeds and rows is Φ(μ_i / √(1 + σ²_a + σ²_b + σ²_c)), with var e = 1.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from loretta_core.report.inference.components import Components, SeedScores, estimate
from loretta_core.report.inference.intervals import difference_interval, mean_interval
from loretta_core.report.inference.max_t import AllPairs, compare_all_pairs
from loretta_core.report.inference.racing import eliminated, levels

ROW_SPREAD, OWN_ROW_SPREAD = 1.0, 0.7
SEED_SPREAD = {"low": 0.03, "high": 0.3}
"""Standard deviation of a, on the probit scale: about 0.006 and 0.06 in accuracy."""
EQUAL = (0.9,) * 5
SPREAD_OUT = (1.2, 1.1, 0.9, 0.8, 0.4)


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    seeds: int
    rows: int
    seed_variance: str


@dataclass(frozen=True)
class Found:
    """Shares over the draws."""

    coverage_of_means: float
    coverage_of_differences: float
    coverage_of_all_differences_at_once: float
    wrong_best_when_equal: float
    right_best: float
    """When the contenders differ."""


SETTINGS = [Setting(seeds, rows, name) for seeds in (3, 5, 10) for rows in (50, 200, 1000) for name in SEED_SPREAD]


def truth(means: Sequence[float], *, seed_spread: float) -> np.ndarray:
    """Expected score of each contender."""
    return stats.norm.cdf(np.asarray(means) / math.sqrt(1 + seed_spread**2 + ROW_SPREAD**2 + OWN_ROW_SPREAD**2))


def table(means: Sequence[float], setting: Setting, generator: np.random.Generator) -> np.ndarray:
    """(K, S, R) of 0 and 1."""
    shape = (len(means), setting.seeds, setting.rows)
    level = np.asarray(means)[:, None, None]
    seed = SEED_SPREAD[setting.seed_variance] * generator.standard_normal((*shape[:2], 1))
    shared = ROW_SPREAD * generator.standard_normal((1, 1, setting.rows))
    own = OWN_ROW_SPREAD * generator.standard_normal((len(means), 1, setting.rows))
    return (level + seed + shared + own + generator.standard_normal(shape) > 0).astype(float)


def components_of(value_KSR: np.ndarray) -> Components:
    """Return the components as a comparison makes them."""
    return estimate([SeedScores.from_rows(value_SR) for value_SR in value_KSR])


def drawn(means: Sequence[float], setting: Setting, *, draws: int) -> Iterator[Components]:
    """Yield the components of that many tables."""
    generator = np.random.default_rng(0)
    for _ in range(draws):
        yield components_of(table(means, setting, generator))


def best_of(components: Components, pairs: AllPairs) -> int | None:
    """The contender that is separated from all others and above them, or None."""
    top = int(components.mean_K.argmax())
    others = [index for index in range(len(components)) if index != top]
    return top if all(pairs.adjusted[pairs.index_of(top, other)[0]] <= 0.05 for other in others) else None


def measure(setting: Setting, *, draws: int, resamples: int = 500) -> Found:
    """Coverage where contenders differ, and what is called best where they do and where they do not."""
    expected = truth(SPREAD_OUT, seed_spread=SEED_SPREAD[setting.seed_variance])
    of_means, of_differences, at_once, right, wrong = [], [], [], [], []
    for components in drawn(SPREAD_OUT, setting, draws=draws):
        pairs = compare_all_pairs(components, draws=resamples)
        of_means.append(np.mean([found.low <= expected[i] <= found.high for i in range(5) for found in [mean_interval(components, i)]]))
        differences = expected[pairs.pair_P2[:, 0]] - expected[pairs.pair_P2[:, 1]]
        alone = [difference_interval(components, *map(int, pair)) for pair in pairs.pair_P2]
        of_differences.append(np.mean([found.low <= true <= found.high for found, true in zip(alone, differences, strict=True)]))
        at_once.append(bool((np.abs(pairs.difference_P - differences) <= pairs.half_width()).all()))
        right.append(best_of(components, pairs) == 0)
    for components in drawn(EQUAL, setting, draws=draws):
        wrong.append(best_of(components, compare_all_pairs(components, draws=resamples)) is not None)
    return Found(*(round(float(np.mean(values)), 4) for values in (of_means, of_differences, at_once, wrong, right)))


def race(means: Sequence[float], *, most: int, rows: int, seed_variance: str, draws: int, resamples: int = 500) -> tuple[float, float]:
    """(share of races that eliminate the best, or any when all are equal; share of seeds that were not trained)."""
    looks = list(range(3, most + 1))
    allowed = levels(looks)
    setting = Setting(most, rows, seed_variance)
    generator = np.random.default_rng(1)
    wrong, saved = [], []
    expected = np.asarray(means)
    for _ in range(draws):
        value_KSR = table(means, setting, generator)
        running, trained, bad = list(range(len(means))), len(means) * looks[0], False
        for seeds, level in zip(looks, allowed, strict=True):
            if len(running) < 2:
                break
            if seeds > looks[0]:
                trained += len(running)
            out = [running[index] for index in eliminated(components_of(value_KSR[running, :seeds]), level=level)]
            bad |= any(expected[index] >= expected.max() for index in out)
            running = [index for index in running if index not in out]
        wrong.append(bad)
        saved.append(1 - trained / (len(means) * most))
    return round(float(np.mean(wrong)), 4), round(float(np.mean(saved)), 4)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = []
    print(
        "| seeds | rows | seed variance | means | differences | all differences at once | wrong best, all equal | right best |\n"
        + "|---:|---:|---|"
        + 5 * "---:|"
    )
    for setting in SETTINGS:
        result = measure(setting, draws=options.draws)
        found.append({**asdict(setting), **asdict(result)})
        shares = " | ".join(f"{value:.3f}" for value in asdict(result).values())
        print(f"| {setting.seeds} | {setting.rows} | {setting.seed_variance} | {shares} |", flush=True)
    print("\n| race of 3 to 10 seeds, 200 rows | wrongly eliminated | seeds saved |\n|---|---:|---:|")
    for name, means in {"all equal": EQUAL, "spread out": SPREAD_OUT}.items():
        for seed_variance in SEED_SPREAD:
            wrong, saved = race(means, most=10, rows=200, seed_variance=seed_variance, draws=options.draws // 4)
            found.append({"race": name, "seed_variance": seed_variance, "wrongly_eliminated": wrong, "saved": saved})
            print(f"| {name}, {seed_variance} seed variance | {wrong:.3f} | {saved:.2f} |", flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
