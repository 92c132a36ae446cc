"""Scores the predictions of a task: its metric, and what that reads of predictions and references: one class of several, a probability, a part of a text.

prediction, reference ──read──► values ──metric (metrics.py)──► score
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from loretta_core.config.metrics import LIBRARIES, READ_LIKELIHOODS, Kind
from loretta_core.errors import DataError
from loretta_core.tasks.scoring.extractors import extract
from loretta_core.tasks.scoring.json_answers import canonical_json
from loretta_core.tasks.scoring.metrics import Prediction, Reference, score
from loretta_core.tasks.scoring.number_match import last_number
from loretta_core.tasks.scoring.spans import OUTSIDE

OF_ONE_CLASS = ("f1", "auc")
"""Metrics of one class against the others."""
NEGATED = {"mse": "neg_mse", "mae": "neg_mae", "perplexity": "neg_perplexity", "loss": "neg_loss"}
"""Errors → the metrics that are recorded for them, of which more is better."""
OF_SETS = {"exact_match": "set_match", "micro_f1": "set_micro_f1", "macro_f1": "set_macro_f1", "weighted_f1": "set_weighted_f1"}
"""Metrics of sets of labels → the names under which they are recorded."""


@dataclass(frozen=True)
class Scorer:
    """A metric and its settings."""

    metric: str = "accuracy"
    """Name in `metrics.METRICS`."""
    positive: int = 1
    """Number of the class that the metrics of one class are about."""
    extractor: str | None = None
    pattern: str | None = None
    ignore_case: bool = False
    ignore_blanks: bool = False
    tags: tuple[str, ...] = ()
    """Names of the tags of words, where those are predicted."""

    @property
    def reads_likelihoods(self) -> bool:
        """True if the metric reads the probability of an answer, so that none need be written."""
        return self.metric in {NEGATED[name] for name in READ_LIKELIHOODS}

    @property
    def reads_probabilities(self) -> bool:
        """True if the metric reads the probability of the positive class, not the predicted one."""
        return self.metric == "auc"

    def values(self, predictions: Sequence[Prediction], probabilities: Sequence[float] | None = None) -> list[Prediction]:
        """Return what the metric reads of predictions; `probabilities` are those of the positive class, where the metric reads them."""
        if self.reads_probabilities:
            assert probabilities is not None, "the objective gives probabilities of labels"
            return list(probabilities)
        if self.metric in OF_ONE_CLASS:
            return [int(prediction == self.positive) for prediction in predictions]
        if self.tags:
            return [self.tagged(prediction) for prediction in predictions]
        return [self._of_text(prediction) or "" if isinstance(prediction, str) else prediction for prediction in predictions]

    def truths(self, references: Sequence[Reference]) -> list[Reference]:
        """Return what the metric reads of references."""
        if self.metric in OF_ONE_CLASS:
            return [int(reference == self.positive) for reference in references]
        if self.tags:
            return [self.tagged(reference) for reference in references]
        return [self._texts(reference) if isinstance(reference, tuple) else reference for reference in references]

    def score(self, predictions: Sequence[Prediction], references: Sequence[Reference], *, probabilities: Sequence[float] | None = None) -> float:
        """Return the metric over all rows."""
        return score(self.metric, self.values(predictions, probabilities), self.truths(references))

    def check_answer(self, answer: str, place: str) -> None:
        """Raise DataError for a reference in which extractor or metric finds nothing: no prediction could equal it."""
        found = self._of_text(answer)
        if found is not None and self.metric == "number" and last_number(found) is None:
            raise DataError(f'{place}: metric = "number" finds none in the answer {answer[-60:]!r}; every reference must hold a number')
        if found is not None and self.metric == "json_equal" and canonical_json(found) is None:
            raise DataError(f'{place}: metric = "json_equal", and the answer {answer[:60]!r} is no JSON; every reference must be')
        if found is None:
            raise DataError(
                f"{place}: task.extract = {self.extractor!r} finds nothing in the answer {answer[-60:]!r}; every reference must hold what is compared"
            )

    def tagged(self, numbers: Any) -> tuple[str, ...]:
        """Return the names of tags; −1, a word that no tag was given, is outside."""
        return tuple(self.tags[number] if number >= 0 else OUTSIDE for number in numbers)

    def _texts(self, reference: tuple[Any, ...]) -> Reference:
        return tuple(self._of_text(one) or "" if isinstance(one, str) else one for one in reference)

    def _of_text(self, text: str) -> str | None:
        found = extract(self.extractor, text, pattern=self.pattern) if self.extractor else text
        if found is None or self.metric != "exact_match":
            return found
        found = " ".join(found.split()) if self.ignore_blanks else found.strip()
        return found.casefold() if self.ignore_case else found


def recorded_name(metric: str, kind: Kind) -> str:
    """Return the name under which a metric is recorded. Raises DataError if the library that computes it is not installed."""
    library = LIBRARIES.get(metric)
    if library is not None and find_spec(library) is None:
        raise DataError(f'task.metric = "{metric}" is computed by {library.replace("_", "-")}, which is not installed: pip install "loretta-on-ray[scorers]"')
    return OF_SETS[metric] if kind == "label_sets" else NEGATED.get(metric, metric)


def positive_index(metric: str, names: Sequence[str], positive_label: str | None) -> int:
    """Return the number of the class that a metric is about, 1 where it is about all. Raises DataError if there are several that it could be about."""
    if positive_label is not None:
        spelt = [name.strip().casefold() for name in names]  # as labels are read
        if positive_label.strip().casefold() not in spelt:
            raise DataError(f"task.positive_label = {positive_label!r}; the labels are {', '.join(names)}")
        return spelt.index(positive_label.strip().casefold())
    if metric in OF_ONE_CLASS and len(names) != 2:
        others = "macro_f1, micro_f1 or weighted_f1" if metric == "f1" else "macro_f1 or matthews"
        raise DataError(
            f'task.metric = "{metric}" is about one class, and there are {len(names)}: {", ".join(names[:10])}; use {others}, or name the class in '
            "task.positive_label"
        )
    return 1
