"""What a metric reads: one class of several, a probability, a part of a text."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from loretta_core.errors import DataError
from loretta_core.tasks.scoring.scorer import Scorer, positive_index


def test_one_class_of_three():
    rng = np.random.default_rng(0)
    guessed, true = rng.integers(0, 3, (2, 50)).tolist()
    expected = f1_score([label == 2 for label in true], [label == 2 for label in guessed])
    assert Scorer("f1", positive=2).score(guessed, true) == pytest.approx(expected)


def test_a_probability():
    rng = np.random.default_rng(0)
    true, probabilities = rng.integers(0, 2, 50).tolist(), rng.random(50).round(1).tolist()
    assert Scorer("auc").score([0] * 50, true, probabilities=probabilities) == pytest.approx(roc_auc_score(true, probabilities))
    turned = [1 - value for value in probabilities]
    assert Scorer("auc", positive=0).score([0] * 50, true, probabilities=turned) == pytest.approx(roc_auc_score(true, probabilities))


TEXTS = [
    (Scorer("exact_match"), " Yes\n", "Yes", 1.0),
    (Scorer("exact_match"), "yes", "Yes", 0.0),
    (Scorer("exact_match"), "- a\n- b", "- a, - b", 0.0),
    (Scorer("exact_match", ignore_case=True), "yes", "Yes", 1.0),
    (Scorer("exact_match"), "a  b", "a b", 0.0),
    (Scorer("exact_match", ignore_blanks=True), "a \n b", "a b", 1.0),
    (Scorer("exact_match", extractor="last_number"), "it is 72.0 now", "3 + 69\n#### 72", 1.0),
    (Scorer("exact_match", extractor="last_number"), "no number", "#### 72", 0.0),
    (Scorer("squad_em", extractor="after", pattern="A:"), "Q: the A: The  cat.", "A: cat", 1.0),
]


@pytest.mark.parametrize(("scorer", "prediction", "reference", "expected"), TEXTS)
def test_texts(scorer, prediction, reference, expected):
    assert scorer.score([prediction], [(reference, "another with 5 A: x")]) == expected


def test_a_reference_without_what_is_compared_is_refused():
    with pytest.raises(DataError, match=r"a.csv:3: task.extract = 'last_number' finds nothing in the answer 'none'"):
        Scorer("exact_match", extractor="last_number").check_answer("none", "a.csv:3")


def test_the_class_that_a_metric_is_about():
    assert positive_index("f1", ("a", "b"), None) == 1
    assert positive_index("auc", ("a", "b", "c"), "c") == 2
    assert positive_index("f1", ("False", "True"), "false") == 0
    assert positive_index("accuracy", ("a", "b", "c"), None) == 1
    with pytest.raises(DataError, match=r'task.metric = "f1" is about one class, and there are 3: a, b, c; use macro_f1'):
        positive_index("f1", ("a", "b", "c"), None)
    with pytest.raises(DataError, match=r"task.positive_label = 'd'; the labels are a, b"):
        positive_index("f1", ("a", "b"), "d")
