"""Baselines of the generated tasks without tuning: `python -m loretta_core.assets.baselines`. Prints Markdown tables; README.md beside this file keeps them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from loretta_core.config.model import Pretrained
from loretta_core.config.task import ToyEntailment, ToyQa, ToySentiment, ToyTask
from loretta_core.models import load_model, load_tokenizer
from loretta_core.tasks.build import build_objective, load_data
from loretta_core.tasks.collate import Collator
from loretta_core.tasks.data.rows import Row, TaskData
from loretta_core.tasks.scoring.metrics import score
from loretta_core.train.evaluate import evaluate, score_interval

SENTIMENT = ToySentiment(type="toy_sentiment")
ASKED = ToySentiment(type="toy_sentiment", objective="causal")
ENTAILMENT = ToyEntailment(type="toy_entailment")
QA = ToyQa(type="toy_qa")


def main() -> None:
    """Score the baselines on each task's default rows."""
    _table("toy_sentiment", word_classifiers(load_data(SENTIMENT)), untuned={"toy-bert": SENTIMENT, "toy-llama": ASKED})
    _table("toy_entailment", word_classifiers(load_data(ENTAILMENT)), untuned={"toy-llama": ENTAILMENT})
    _table("toy_qa", answer_rules(load_data(QA)), untuned={"toy-llama": QA})


def zero_shot(model: str, task: ToyTask) -> tuple[float, tuple[float, float]]:
    """Return the score of the untuned model on the task's test rows, and its 95 % interval."""
    model_config, data = Pretrained(type="pretrained", name=model), load_data(task)
    tokenizer = load_tokenizer(model_config)
    objective = build_objective(task, tokenizer=tokenizer, num_labels=data.outputs)
    loaded = load_model(model_config, objective=task.objective, num_labels=data.outputs, dtype=torch.float32)
    collate = Collator(tokenizer, device=torch.device("cpu"))
    examples = objective.encode(data.test)
    found = evaluate(loaded, examples, objective=objective, collate=collate, batch_size=100, scorer=data.scorer)
    return found.score, score_interval(data.metric, found.predictions, [example.reference for example in examples])


Found = dict[str, tuple[float, tuple[float, float]]]


def word_classifiers(data: TaskData) -> Found:
    """Score classifiers on counts of words."""
    words = {"token_pattern": r"\S+"}
    models: dict[str, DummyClassifier | Pipeline] = {
        "most frequent label": DummyClassifier(),
        "bag of words (logistic regression)": make_pipeline(CountVectorizer(**words), LogisticRegression(max_iter=1000)),
        "bag of words and word pairs": make_pipeline(CountVectorizer(**words, ngram_range=(1, 2)), LogisticRegression(max_iter=1000)),
    }
    labels = [row.label for row in data.test]
    return {
        name: _scored(data, [int(label) for label in np.asarray(_fit(model, data.train).predict(_texts(data.test)))], labels) for name, model in models.items()
    }


def answer_rules(data: TaskData) -> Found:
    """Score rules that answer without understanding the question."""
    usual = Counter(row.answers[0] for row in data.train).most_common(1)[0][0]
    rules: dict[str, Callable[[Row], str]] = {
        "most frequent answer": lambda row: usual,
        "what the first clause says": lambda row: _said(row, 0),
        "what the last clause says": lambda row: _said(row, -1),
        "the adjective of the right clause": _adjective,
    }
    accepted = [row.answers for row in data.test]
    return {name: _scored(data, [rule(row) for row in data.test], accepted) for name, rule in rules.items()}


def _clauses(row: Row) -> list[list[str]]:
    """Split the opinion of a prompt "although the plot was dull , the cast felt warm . how was it ?" into a list of words for each clause."""
    opinion = row.text["prompt"].partition(" . ")[0]
    return [clause.split() for clause in re.split(r"\s*(?:,|\bbut\b|\byet\b|\beven though\b|\balthough\b)\s*", opinion) if clause]


def _said(row: Row, index: int) -> str:
    return " ".join(_clauses(row)[index][3:])


def _adjective(row: Row) -> str:
    return row.answers[0].split()[-1]


def _fit(model: DummyClassifier | Pipeline, rows: Sequence[Row]) -> DummyClassifier | Pipeline:
    return model.fit(_texts(rows), [row.label for row in rows])


def _texts(rows: Sequence[Row]) -> list[str]:
    return [" ".join(row.text.values()) for row in rows]


def _scored(data: TaskData, predictions: Sequence[int | str], references: Sequence[int | float | tuple[str, ...]]) -> tuple[float, tuple[float, float]]:
    return score(data.metric, predictions, references), score_interval(data.metric, predictions, references)


def _table(task: str, found: Found, *, untuned: dict[str, ToyTask]) -> None:
    models = {f"{model}, zero-shot prompt": zero_shot(model, config) for model, config in untuned.items()}
    metric = "F1" if task == "toy_qa" else "accuracy"
    print(f"\n| {task} | test {metric} | 95 % interval |\n| --- | ---: | --- |")
    for name, (value, (low, high)) in (found | models).items():
        print(f"| {name} | {value:.3f} | {low:.3f} to {high:.3f} |")


if __name__ == "__main__":
    main()
