"""Task config → rows and objective."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from loretta_core.config.task import Jsonl, TaskConfig, ToySentiment
from loretta_core.errors import DataError
from loretta_core.tasks import toy
from loretta_core.tasks.base import Objective
from loretta_core.tasks.head import ClassificationHead
from loretta_core.tasks.jsonl import load_jsonl
from loretta_core.tasks.prompts import MaskedPrompt
from loretta_core.tasks.rows import Row, TaskData


def load_data(task: TaskConfig) -> TaskData:
    """Read or generate the rows of a task. Raises DataError."""
    match task:
        case ToySentiment():
            return _toy_sentiment(task)
        case Jsonl():
            splits, names = load_jsonl(task)
            return _task_data(splits, names)


def build_objective(task: TaskConfig, *, tokenizer: PreTrainedTokenizerBase, num_labels: int) -> Objective:
    """The question a task asks. Raises DataError if the prompt does not fit the tokenizer or the labels."""
    if task.objective == "head":
        return ClassificationHead(tokenizer, max_length=task.max_length)
    template, verbalizer = (toy.TEMPLATE, toy.VERBALIZER) if isinstance(task, ToySentiment) else (task.template, task.verbalizer)
    assert template is not None, "the config requires a template for a prompt"
    assert verbalizer is not None, "the config requires a verbalizer for a prompt"
    if len(verbalizer) != num_labels:
        raise DataError(f"task.verbalizer has {len(verbalizer)} words and the task {num_labels} labels; give one word per label")
    return MaskedPrompt(tokenizer, template=template, verbalizer=verbalizer, max_length=task.max_length)


def _toy_sentiment(task: ToySentiment) -> TaskData:
    rows = {"train": task.train_rows, "validation": task.validation_rows, "test": task.test_rows}
    generated = toy.generate_sentiment(rows_per_split=rows, seed=task.data_seed)
    splits = {split: [Row({"text": item["text"]}, item["label"]) for item in items] for split, items in generated.items()}
    return _task_data(splits, ("negative", "positive"))


def _task_data(splits: dict[str, list[Row]], names: tuple[str, ...]) -> TaskData:
    content = {split: [[dict(row.text), row.label] for row in rows] for split, rows in splits.items()}
    digest = hashlib.sha256(json.dumps([names, content], sort_keys=True).encode()).hexdigest()
    validation: Sequence[Row] = splits["validation"]
    return TaskData(splits["train"], validation, splits.get("test", validation), names, digest)
