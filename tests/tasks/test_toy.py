"""toy_sentiment: seeded, without overlaps, and not solvable by counting words."""

import random

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from loretta_core.tasks import toy
from loretta_core.tasks.toy_text import opinions, vocabulary

ROWS = {"train": 1000, "validation": 500, "test": 1000}


@pytest.fixture(scope="module")
def splits():
    return toy.generate_sentiment(rows_per_split=ROWS, seed=0)


def test_the_seed_decides_everything(splits):
    assert toy.generate_sentiment(rows_per_split=ROWS, seed=0) == splits
    assert toy.generate_sentiment(rows_per_split=ROWS, seed=1) != splits


def test_no_sentence_occurs_twice_and_none_is_in_the_pre_training_share(splits):
    texts = [row["text"] for rows in splits.values() for row in rows]
    assert len(set(texts)) == len(texts) == sum(ROWS.values())
    source = opinions(random.Random(5), for_task=False, contrast_rate=0.1, negation_rate=0.4)
    assert not {next(source).text for _ in range(20_000)} & set(texts)


def test_labels_are_balanced(splits):
    assert all(0.45 < sum(row["label"] for row in rows) / len(rows) < 0.55 for rows in splits.values())


def test_counting_words_does_not_solve_it(splits):
    counts = CountVectorizer(token_pattern=r"\S+")
    labels = {split: [row["label"] for row in rows] for split, rows in splits.items()}
    model = LogisticRegression(max_iter=1000).fit(counts.fit_transform([row["text"] for row in splits["train"]]), labels["train"])
    assert model.score(counts.transform([row["text"] for row in splits["test"]]), labels["test"]) <= 0.65


def test_every_word_is_in_the_vocabulary(splits):
    known = set(vocabulary())
    assert {word for rows in splits.values() for row in rows for word in row["text"].split()} <= known
    assert set(toy.VERBALIZER) <= known


def test_an_empty_split_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        toy.generate_sentiment(rows_per_split={"train": 0}, seed=0)
