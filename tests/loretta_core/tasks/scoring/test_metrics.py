"""Metrics equal scikit-learn, scipy and hand-worked values of the official scripts; intervals cover the score and shrink with the rows."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, mean_absolute_error, mean_squared_error, roc_auc_score

from loretta_core.config.metrics import METRICS as NAMED
from loretta_core.tasks.scoring.metrics import METRICS, score
from loretta_core.tasks.scoring.scorer import recorded_name
from loretta_core.train.evaluate import score_interval

TWINS = {
    "accuracy": accuracy_score,
    "f1": f1_score,
    "macro_f1": lambda t, p: f1_score(t, p, average="macro"),
    "micro_f1": lambda t, p: f1_score(t, p, average="micro"),
    "weighted_f1": lambda t, p: f1_score(t, p, average="weighted"),
    "auc": roc_auc_score,
    "neg_mse": lambda t, p: -mean_squared_error(t, p),
    "neg_mae": lambda t, p: -mean_absolute_error(t, p),
    "matthews": matthews_corrcoef,
    "pearson": lambda t, p: pearsonr(t, p)[0],
    "spearman": lambda t, p: spearmanr(t, p)[0],
    "pearson_spearman": lambda t, p: (pearsonr(t, p)[0] + spearmanr(t, p)[0]) / 2,
}
NUMERIC = ("pearson", "spearman", "pearson_spearman", "neg_mse", "neg_mae")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", TWINS)
def test_equal_to_the_usual_implementations(name, seed):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 2, 57)
    guessed = np.where(rng.random(57) < 0.7, true, 1 - true)
    if name in NUMERIC:
        true, guessed = rng.integers(0, 11, 57) / 2, rng.normal(size=57).round(1)  # ties in both
    assert score(name, guessed.tolist(), true.tolist()) == pytest.approx(TWINS[name](true, guessed), abs=1e-12)


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "micro_f1", "weighted_f1", "matthews"])
def test_three_labels_one_of_which_is_never_right(name):
    rng = np.random.default_rng(1)
    true, guessed = rng.integers(0, 2, 40), rng.integers(0, 3, 40)
    assert score(name, guessed.tolist(), true.tolist()) == pytest.approx(TWINS[name](true, guessed), abs=1e-12)


def test_every_metric_that_can_be_named_is_there():
    assert {recorded_name(name, kind) for name, (kinds, _) in NAMED.items() for kind in kinds} == METRICS.keys()


@pytest.mark.parametrize("name", ["f1", "matthews", "pearson_spearman"])
def test_a_constant_answer_is_worth_nothing(name):
    assert score(name, [0, 0, 0, 0], [0, 1, 1, 0]) == 0.0


# Worked by hand from evaluate-v1.1.py and drop_eval.py.
TEXT = [
    ("squad_em", "The Eiffel Tower.", ("Eiffel tower", "Paris"), 1.0),
    ("squad_em", "Eiffel", ("Eiffel tower",), 0.0),
    ("squad_f1", "the big big tower", ("a big tower",), 0.8),  # 2 of 3 words right, both found
    ("squad_f1", "London", ("Paris", "Rome"), 0.0),
    ("squad_f1", "", ("Paris",), 0.0),
    ("drop_em", "1,000 yards", ("1000 yards",), 1.0),
    ("drop_em", "5", ("5.0",), 1.0),
    ("drop_f1", "12 yards", ("11 yards",), 0.0),  # the number is wrong
    ("drop_f1", "eleven long yards", ("eleven yards",), 0.8),
    ("drop_f1", "third-quarter", ("third quarter",), 1.0),
]


@pytest.mark.parametrize(("name", "prediction", "answers", "expected"), TEXT)
def test_free_text(name, prediction, answers, expected):
    assert score(name, [prediction], [answers]) == pytest.approx(expected)


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].counts is None and not name.startswith(("rouge", "json", "set_"))])
def test_intervals_cover_the_score_repeat_and_shrink(name):
    rng = np.random.default_rng(3)

    def interval(rows: int):
        true = rng.integers(0, 2, rows).tolist()
        guessed = np.where(rng.random(rows) < 0.75, true, 1 - np.array(true)).tolist()
        if name.startswith(("squad", "drop", "exact", "number")):
            guessed, true = [f"word {g}" for g in guessed], [(f"word {t}",) for t in true]
        low, high = score_interval(name, guessed, true)
        assert (low, high) == score_interval(name, guessed, true)
        assert low < score(name, guessed, true) < high
        return high - low

    assert interval(1000) < interval(40)


def test_a_bootstrap_interval_is_the_normal_one_where_that_holds():
    rng = np.random.default_rng(0)
    x = rng.normal(size=800)
    y = 0.6 * x + 0.8 * rng.normal(size=800)
    low, high = score_interval("pearson", x.tolist(), y.tolist())
    z, half = np.arctanh(pearsonr(x, y)[0]), 1.96 / np.sqrt(797)  # Fisher
    assert low == pytest.approx(np.tanh(z - half), abs=0.015)
    assert high == pytest.approx(np.tanh(z + half), abs=0.015)


def test_nothing_to_score_is_refused():
    with pytest.raises(ValueError, match="0 predictions for 0"):
        score("f1", [], [])
