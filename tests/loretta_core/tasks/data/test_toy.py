"""The generated tasks: seeded, without overlaps, and not solvable by counting words or taking what comes first."""

import random

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from loretta_core.assets.baselines import ENTAILMENT, QA, answer_rules, word_classifiers
from loretta_core.config.task import ToySentiment
from loretta_core.tasks.build import load_data
from loretta_core.tasks.data import toy, toy_text
from loretta_core.tasks.data.scored_rows import count_shared
from loretta_core.tasks.data.toy_text import opinions, vocabulary

pytestmark = pytest.mark.integration

ROWS = {"train": 1000, "validation": 500, "test": 1000}


@pytest.fixture(scope="module")
def splits():
    return toy.generate_sentiment(rows_per_split=ROWS, seed=0)


def test_the_seed_decides_everything(splits):
    toy.drawn_rows.cache_clear()
    assert toy.generate_sentiment(rows_per_split=ROWS, seed=0) == splits
    assert toy.generate_sentiment(rows_per_split=ROWS, seed=1) != splits


def test_a_row_belongs_to_its_caller():
    rows = toy.generate_sentiment(rows_per_split={"train": 5}, seed=9)["train"]
    rows[0]["text"] = "changed"
    assert toy.generate_sentiment(rows_per_split={"train": 5}, seed=9)["train"][0]["text"] != "changed"


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


@pytest.mark.parametrize("task", [ENTAILMENT, ENTAILMENT.model_copy(update={"objective": "head"}), QA], ids=["entailment", "entailment head", "qa"])
def test_questions_are_seeded_and_no_text_occurs_twice(task):
    data = load_data(task)
    assert [len(data.train), len(data.validation), len(data.test)] == [1000, 500, 1000]
    assert load_data(task) == data
    assert load_data(task.model_copy(update={"data_seed": 1})).inputs_sha256 != data.inputs_sha256
    texts = [row.text.get("premise", row.text.get("prompt", "").partition(" does this")[0].partition(" how was")[0]) for row in (*data.train, *data.test)]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    "task",
    [ENTAILMENT, ENTAILMENT.model_copy(update={"objective": "head"}), QA, ToySentiment(type="toy_sentiment")],
    ids=["entailment", "entailment head", "qa", "sentiment"],
)
def test_data_seed_redraws_training_and_validation_rows_only(task):
    first, second = (load_data(task.model_copy(update={"data_seed": seed})) for seed in (0, 7))
    assert (first.test, first.test_sha256) == (second.test, second.test_sha256)
    assert first.train != second.train
    assert first.validation != second.validation
    assert all(count_shared(data.test, others=[*data.train, *data.validation]) == 0 for data in (first, second))


def test_what_is_asked_about_is_not_in_the_pre_training_share():
    asked = {row.text["prompt"].partition(" how was")[0] for row in load_data(QA).test}
    source = opinions(random.Random(5), for_task=False, contrast_rate=0.6, negation_rate=0.4)
    assert not {next(source).text for _ in range(20_000)} & asked


def deciding_clause(text: str) -> str:
    """Derive the label by hand, from the text alone."""
    for joint in (" , although ", " even though "):
        if joint in text:
            return text.partition(joint)[0]
    for joint in (" but ", " yet ", " , "):
        text = text.rpartition(joint)[2]
    return text.removesuffix(" .")


def test_labels_say_what_the_sentences_say():
    """Count the negation of the clause that decides, and compare with the statement."""
    for row in load_data(ENTAILMENT).test[:200]:
        opinion, _, asked = row.text["prompt"].partition(" does this mean that it was ")
        words = deciding_clause(opinion).split()
        good = (words[-1] in toy_text.POSITIVE) != any(word in ("not", "never", "hardly", "scarcely") for word in words)
        assert row.label == int(good != (asked.removesuffix(" ?") in toy_text.VERDICTS[1]))


def test_answers_are_what_the_deciding_clause_says():
    for row in load_data(QA).test[:200]:
        opinion, _, _ = row.text["prompt"].partition(" how was it ?")
        assert deciding_clause(opinion).split()[3:] == row.answers[0].split()


def test_trivial_rules_do_not_solve_the_questions():
    assert max(score for score, _ in word_classifiers(load_data(ENTAILMENT)).values()) <= 0.6
    rules = answer_rules(load_data(QA))
    assert max(score for name, (score, _) in rules.items() if name != "the adjective of the right clause") <= 0.7
