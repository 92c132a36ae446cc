"""Draws the next round of a search with Optuna (`[search] algorithm = "optuna"`) from the validation scores of its earlier cells.

    records ─► (sample, mean score of its seeds) ─► a study in memory ─► TPE ─► samples ─► cells like any other

The study is built anew from the records each time and its sampler's seed is made of the search's seed, the point of the grid and the number of samples before,
so that the samples are a function of the records. Nothing of Optuna's is kept: its storage would be a second ledger.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.storage.ledger import read_status
from loretta_core.config import SweepConfig
from loretta_core.config.sweep.grid import Tried
from loretta_core.config.sweep.search import Range, Sample, Search
from loretta_core.errors import ConfigError
from loretta_core.store.early_stops import read_early_stops
from loretta_core.store.search_state import write_search_state

if TYPE_CHECKING:
    import optuna

Scored = tuple[Sample, float | None]
"""A sample and its score; None where no cell of it has one."""


def check_search(config: SweepConfig) -> None:
    """Raise ConfigError when the search needs Optuna and it is not installed."""
    suggests = any(contender.lacks_trials for contender in config.contenders)
    if suggests and find_spec("optuna") is None:
        raise ConfigError('tune.algorithm = "optuna" needs Optuna, which is not installed; pip install "loretta-on-ray[search]", or use algorithm = "random"')
    if config.rounds is not None and not config.rounds.complete and find_spec("optuna") is None:
        raise ConfigError('search.algorithm = "optuna" needs Optuna, which is not installed; pip install "loretta-on-ray[search]", or use algorithm = "random"')


def draw_round(config: SweepConfig, *, out: Path) -> SweepConfig | None:
    """Draw another round for every point that lacks samples and note it on disk. Returns the sweep with its cells; None when no cell is left to find.

    Rounds whose cells are all known, because results suggested the same settings again, are skipped.
    """
    before = len(config.cells)
    while config.rounds is not None and not config.rounds.complete:
        scores = validation_scores(config, out=out)
        drawn = {point: [*config.rounds.drawn[point], *_draw(config.rounds.search, point, tried, scores)] for point, tried in config.rounds.tried.items()}
        config = config.grown(drawn)
        write_search_state(config, out)
        if len(config.cells) > before:
            return config
    return None


def validation_scores(config: SweepConfig, *, out: Path) -> dict[str, float]:
    """Read the validation score of every cell, by cell id; for a cell that the sweep stopped early, its best one."""
    stops = read_early_stops(out, name=config.name)
    scores = {cell_id: max(score for _, score in stop.points) for cell_id, stop in stops.items() if stop.points}
    finished = read_status(out, config.cells).finished
    return scores | {cell_id: record.score.validation for cell_id, record in finished.items() if record.score.validation is not None}


def suggest(search: Search, scored: Sequence[Scored], *, point: str, count: int) -> list[Sample]:
    """Draw the samples to try next; larger scores are better.

    Args:
        scored: all samples of the point so far, in their order.
        count: how many to draw; each assumes a poor score for the others of the round (constant liar), so that they differ.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {name: _distribution(values) for name, values in search.space.items()}
    seed = int.from_bytes(hashlib.sha256(f"{search.seed}/{point}/{len(scored)}".encode()).digest()[:4], "big")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # `multivariate` and `constant_liar` have been so for years
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials([_trial(search, sample, score, space) for sample, score in scored])
    return [_sample(search, study.ask(space).params) for _ in range(count)]


def _draw(search: Search, point: str, tried: Sequence[Tried], scores: Mapping[str, float]) -> list[Sample]:
    count = min(search.per_round, search.samples - len(tried))
    scored = [(each.sample, _mean(scores[cell_id] for cell_id in each.cells if cell_id in scores)) for each in tried]
    return suggest(search, scored, point=point, count=count) if count > 0 else []


def _mean(values: Iterable[float]) -> float | None:
    given = list(values)
    return sum(given) / len(given) if given else None


def _distribution(values: Range | list[Any]) -> optuna.distributions.BaseDistribution:
    """Translate a search space to Optuna's; a list becomes the indices of its values, which may be tables."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(values, list):
        return CategoricalDistribution(range(len(values)))
    if values.integer:
        return IntDistribution(round(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _trial(search: Search, sample: Sample, score: float | None, space: Mapping[str, optuna.distributions.BaseDistribution]) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState, create_trial

    params = {name: _to_optuna(values, sample[name]) for name, values in search.space.items()}
    return create_trial(params=params, distributions=dict(space), value=score, state=TrialState.FAIL if score is None else TrialState.COMPLETE)


def _to_optuna(values: Range | list[Any], value: Any) -> float | int:
    """Translate a value to Optuna's, clipped: one that was rounded to three digits may lie a little outside of its range."""
    if isinstance(values, list):
        return values.index(value)
    return min(max(value, round(values.low)), int(values.high)) if values.integer else min(max(value, values.low), values.high)


def _sample(search: Search, params: Mapping[str, Any]) -> Sample:
    return {name: values.readable(params[name]) if isinstance(values, Range) else values[params[name]] for name, values in search.space.items()}
