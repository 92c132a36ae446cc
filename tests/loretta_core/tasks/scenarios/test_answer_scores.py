"""Written answers that are numbers, JSON, or read by their probability; sets of labels."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from loretta_core.errors import DataError
from loretta_core.tasks.scoring.metrics import resampled, score
from loretta_core.tasks.scoring.scorer import Scorer, recorded_name

NUMBERS = [
    ("It costs $1,200.", "#### 1200", 1.0),
    ("3 + 69 = 72", "So 3 + 69.\n#### 72", 1.0),
    ("72.0", "#### 72", 1.0),
    ("#### -5", "#### 5", 0.0),
    ("€1.50", "1.5", 1.0),
    ("none", "#### 72", 0.0),
    ("72 of 80", "#### 72", 0.0),
]


@pytest.mark.parametrize(("written", "accepted", "expected"), NUMBERS)
def test_numbers(written, accepted, expected):
    assert score("number", [written], [(accepted,)]) == expected


JSON = [
    ('{"a": 1, "b": [true]}', '{"b": [true], "a": 1.0}', 1.0, 1.0),
    ('{"a": 1}', '{"a": true}', 1.0, 0.0),
    ("[1, 2]", "[2, 1]", 1.0, 0.0),
    ('{"a": 1', '{"a": 1}', 0.0, 0.0),
    ('Sure! {"a": 1}', '{"a": 1}', 0.0, 0.0),
    ("NaN", "1", 0.0, 0.0),
    ("", "1", 0.0, 0.0),
    ("[" * 100_000, "1", 0.0, 0.0),
    ("é".join('""'), '"\\u00e9"', 1.0, 1.0),
]


@pytest.mark.parametrize(("written", "accepted", "valid", "equal"), JSON)
def test_json(written, accepted, valid, equal):
    assert score("json_valid", [written], [(accepted,)]) == valid
    assert score("json_equal", [written], [(accepted,)]) == equal


def test_json_within_a_text_is_extracted():
    assert Scorer("json_equal", extractor="json").score(['Sure! {"a": 1}'], [('{"a": 1}',)]) == 1.0


def test_references_that_no_answer_could_equal():
    with pytest.raises(DataError, match=r'a.csv:2: metric = "number" finds none in the answer'):
        Scorer("number").check_answer("no idea", "a.csv:2")
    with pytest.raises(DataError, match=r'a.csv:2: metric = "json_equal", and the answer'):
        Scorer("json_equal").check_answer("{a: 1}", "a.csv:2")
    Scorer("json_valid").check_answer("{a: 1}", "a.csv:2")


def test_perplexity_is_over_the_tokens_of_all_rows():
    rows, texts = [(-4.0, 2.0), (-1.0, 8.0)], [("a",), ("b",)]
    assert score("neg_loss", rows, texts) == pytest.approx(-0.5)
    assert score("neg_perplexity", rows, texts) == pytest.approx(-math.exp(0.5))
    assert {round(value, 9) for value in resampled("neg_loss", rows, texts)} == {-2.0, -0.5, -0.125}
    assert score("neg_perplexity", [(-9000.0, 1.0)], [("a",)]) == -math.exp(700)


@pytest.mark.parametrize(("name", "average"), [("micro_f1", "micro"), ("macro_f1", "macro"), ("weighted_f1", "weighted")])
def test_sets_of_labels(name, average):
    rng = np.random.default_rng(0)
    true, guessed = (rng.random((2, 40, 4)) < [0.5, 0.2, 0.1, 0.0]).astype(int)
    sets = list(map(tuple, guessed.tolist())), list(map(tuple, true.tolist()))
    recorded = recorded_name(name, "label_sets")
    assert score(recorded, *sets) == pytest.approx(f1_score(true, guessed, average=average, zero_division=0))
    draw = np.random.default_rng(0).integers(0, 40, (1000, 40))[3]
    assert resampled(recorded, *sets)[3] == pytest.approx(f1_score(true[draw], guessed[draw], average=average, zero_division=0))
    assert score("set_match", *sets) == pytest.approx(accuracy_score(true, guessed))
