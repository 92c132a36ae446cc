"""Scorers of the extra `scorers` equal their libraries, and their resamples are the library's scores of the resampled rows."""

from importlib.util import find_spec

import numpy as np
import pytest

from loretta_core.errors import DataError
from loretta_core.tasks.scoring import scorer as scorer_module
from loretta_core.tasks.scoring.metrics import METRICS, bootstrap_interval, resampled, score
from loretta_core.tasks.scoring.scorer import Scorer, recorded_name

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("rouge_score", "sacrebleu", "seqeval")), reason='needs scorers: pip install "loretta-on-ray[scorers]"'
)

WRITTEN = ["The cat sat on the mat.", "A dog!\nIt barks .", "", "Running quickly, he ran away from the dogs", "nothing in common"]
ACCEPTED = [("The cat sat on a mat.",), ("The dog.\nIt barks.", "A dog barks."), ("an answer",), ("He ran from dogs, quickly",), ("xyz",)]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.mark.parametrize("name", ["rouge1", "rouge2", "rougeL", "rougeLsum"])
def test_rouge(name):
    from rouge_score.rouge_scorer import RougeScorer

    twin = RougeScorer([name])
    expected = [twin.score_multi(answers, written)[name].fmeasure for written, answers in zip(WRITTEN, ACCEPTED, strict=True)]
    assert score(name, WRITTEN, ACCEPTED) == pytest.approx(np.mean(expected))


def corpus_score(name, written, accepted):
    from sacrebleu import corpus_bleu, corpus_chrf

    streams = [[answers[index] if index < len(answers) else None for answers in accepted] for index in range(max(map(len, accepted)))]
    return {"bleu": corpus_bleu, "chrf": corpus_chrf}[name](written, streams).score


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_corpus_metrics_and_their_resamples(name):
    assert score(name, WRITTEN, ACCEPTED) == pytest.approx(corpus_score(name, WRITTEN, ACCEPTED))
    values = resampled(name, WRITTEN, ACCEPTED)
    for index in (0, 1, 999):
        draw = np.random.default_rng(0).integers(0, len(WRITTEN), (1000, len(WRITTEN)))[index]
        assert values[index] == pytest.approx(corpus_score(name, [WRITTEN[row] for row in draw], [ACCEPTED[row] for row in draw]))


def test_an_interval_of_bleu_narrows_with_the_rows():
    low, high = bootstrap_interval("bleu", WRITTEN, ACCEPTED)
    closer, further = bootstrap_interval("bleu", WRITTEN * 20, ACCEPTED * 20)
    assert low < closer < score("bleu", WRITTEN, ACCEPTED) < further < high


def test_entities():
    from seqeval.metrics import accuracy_score, f1_score

    rng = np.random.default_rng(0)
    true = [rng.integers(0, 5, size).tolist() for size in rng.integers(1, 9, 30)]
    guessed = [[tag if rng.random() < 0.8 else int(rng.integers(0, 5)) for tag in row] for row in true]
    named = [[[TAGS[tag] for tag in row] for row in rows] for rows in (true, guessed)]
    assert Scorer("span_f1", tags=tuple(TAGS)).score(list(map(tuple, guessed)), list(map(tuple, true))) == pytest.approx(f1_score(*named))
    assert Scorer("token_accuracy", tags=tuple(TAGS)).score(list(map(tuple, guessed)), list(map(tuple, true))) == pytest.approx(accuracy_score(*named))


def test_a_word_without_a_prediction_is_outside():
    assert Scorer("token_accuracy", tags=tuple(TAGS)).score([(0, -1)], [(1, 0)]) == 0.5
    assert Scorer("span_f1", tags=tuple(TAGS)).score([(-1, -1)], [(1, 2)]) == 0.0


def test_a_missing_library_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(scorer_module, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'task.metric = "rougeL" is computed by rouge-score, which is not installed: pip install "loretta-on-ray\[scorers\]"'):
        recorded_name("rougeL", "text")
    assert recorded_name("number", "text") in METRICS
