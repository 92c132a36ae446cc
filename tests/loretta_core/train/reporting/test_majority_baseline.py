"""The score of the most frequent training label, or of the mean, from labels alone."""

import pytest

from loretta_core.tasks.data.rows import Row, TaskData
from loretta_core.tasks.scoring.scorer import Scorer
from loretta_core.train.reporting.majority_baseline import majority_score


def data(train, test, *, names=("a", "b"), metric="accuracy", answers=()):
    rows = [[Row({"text": str(n)}, label, answers=answers) for n, label in enumerate(labels)] for labels in (train, test)]
    return TaskData(rows[0], rows[0], rows[1], names, "", scorer=Scorer(metric))


@pytest.mark.parametrize(
    ("train", "test", "metric", "expected"),
    [
        ([0, 1, 1], [1, 1, 0, 1], "accuracy", 0.75),
        ([0, 0, 1], [1, 1, 0, 1], "accuracy", 0.25),  # what the training rows say, and not the test rows
        ([1, 0], [0, 1, 1], "accuracy", 1 / 3),  # of two as frequent labels the smaller
        ([1, 1, 0], [1, 0, 1, 0], "f1", 2 * 2 / (4 + 2)),
        ([1, 1, 0], [1, 0, 1, 0], "matthews", 0.0),
        ([1, 1, 0], [1, 0, 1, 0], "macro_f1", 1 / 3),
        ([1, 1, 0], [1, 0, 1, 0], "auc", 0.5),
    ],
)
def test_the_most_frequent_label_of_the_training_rows(train, test, metric, expected):
    assert majority_score(data(train, test, metric=metric)) == pytest.approx(expected)


def test_numbers_get_their_mean_which_correlates_with_nothing():
    assert majority_score(data([1.0, 2.0], [0.0, 3.0, 1.0], names=(), metric="pearson_spearman")) == 0.0
    assert majority_score(data([1.0, 2.0], [0.0, 3.0, 1.0], names=(), metric="neg_mae")) == pytest.approx(-3.5 / 3)


def test_written_answers_have_no_majority():
    assert majority_score(data([0], [0], names=(), metric="squad_f1", answers=("hardly cold",))) is None
