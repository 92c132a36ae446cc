"""Scores the predictions of a task: its metric, and what that reads of predictions and references: one class of several, a probability, a part of a text.

prediction, reference ──read──► values ──metric (metrics.py)──► score
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loretta_core.errors import DataError
from loretta_core.tasks.scoring.extractors import extract
from loretta_core.tasks.scoring.metrics import Prediction, Reference, score

OF_ONE_CLASS = ("f1", "auc")
"""Metrics of one class against the others."""
NEGATED = {"mse": "neg_mse", "mae": "neg_mae"}
"""Errors → the metrics that are recorded for them, of which more is better."""


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
        return [self._of_text(prediction) or "" if isinstance(prediction, str) else prediction for prediction in predictions]

    def truths(self, references: Sequence[Reference]) -> list[Reference]:
        """Return what the metric reads of references."""
        if self.metric in OF_ONE_CLASS:
            return [int(reference == self.positive) for reference in references]
        return [tuple(self._of_text(one) or "" for one in reference) if isinstance(reference, tuple) else reference for reference in references]

    def score(self, predictions: Sequence[Prediction], references: Sequence[Reference], *, probabilities: Sequence[float] | None = None) -> float:
        """Return the metric over all rows."""
        return score(self.metric, self.values(predictions, probabilities), self.truths(references))

    def check_answer(self, answer: str, place: str) -> None:
        """Raise DataError for a reference in which the extractor finds nothing: no prediction could equal it."""
        if self._of_text(answer) is None:
            raise DataError(
                f"{place}: task.extract = {self.extractor!r} finds nothing in the answer {answer[-60:]!r}; every reference must hold what is compared"
            )

    def _of_text(self, text: str) -> str | None:
        found = extract(self.extractor, text, pattern=self.pattern) if self.extractor else text
        if found is None or self.metric != "exact_match":
            return found
        found = " ".join(found.split()) if self.ignore_blanks else found.strip()
        return found.casefold() if self.ignore_case else found


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
