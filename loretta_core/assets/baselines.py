"""What toy_sentiment gives without tuning: `python -m loretta_core.assets.baselines`. Prints a Markdown table; README.md beside this file keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from loretta_core.config.model import Pretrained
from loretta_core.config.task import ToySentiment
from loretta_core.models import load_model, load_tokenizer
from loretta_core.report.stats import wilson_interval
from loretta_core.tasks.build import build_objective, load_data
from loretta_core.tasks.collate import Collator
from loretta_core.tasks.rows import Row
from loretta_core.train.evaluate import evaluate


def main() -> None:
    """Score the baselines on the task's default rows."""
    data = load_data(ToySentiment(type="toy_sentiment"))
    word_counts = make_pipeline(CountVectorizer(token_pattern=r"\S+"), LogisticRegression(max_iter=1000))
    word_pairs = make_pipeline(CountVectorizer(token_pattern=r"\S+", ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    print("| baseline | test accuracy | 95 % interval |\n| --- | ---: | --- |")
    _print("most frequent label", _fit_and_score(DummyClassifier(), data.train, data.test), rows=len(data.test))
    _print("bag of words (logistic regression)", _fit_and_score(word_counts, data.train, data.test), rows=len(data.test))
    _print("bag of words and word pairs", _fit_and_score(word_pairs, data.train, data.test), rows=len(data.test))
    _print("toy-bert, zero-shot prompt", zero_shot(data.test), rows=len(data.test))


def zero_shot(rows: Sequence[Row]) -> float:
    """Accuracy of the untuned model with the task's prompt."""
    model_config = Pretrained(type="pretrained", name="toy-bert")
    tokenizer = load_tokenizer(model_config)
    objective = build_objective(ToySentiment(type="toy_sentiment"), tokenizer=tokenizer, num_labels=2)
    model = load_model(model_config, objective="prompt", num_labels=2, dtype=torch.float32)
    return evaluate(model, objective.encode(rows), objective=objective, collate=Collator(tokenizer, device=torch.device("cpu")), batch_size=100).score


def _fit_and_score(classifier: DummyClassifier | Pipeline, train: Sequence[Row], test: Sequence[Row]) -> float:
    classifier.fit([row.text["text"] for row in train], [row.label for row in train])
    return float(classifier.score([row.text["text"] for row in test], [row.label for row in test]))


def _print(name: str, score: float, *, rows: int) -> None:
    low, high = wilson_interval(round(score * rows), rows)
    print(f"| {name} | {score:.3f} | {low:.3f} to {high:.3f} |")


if __name__ == "__main__":
    main()
