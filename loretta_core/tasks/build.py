"""Builds the rows and the objective of a task config."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from transformers import PreTrainedTokenizerBase

from loretta_core.config.task import Decoder, Glue, Jsonl, TaskConfig, ToyEntailment, ToyQa, ToySentiment
from loretta_core.errors import DataError
from loretta_core.tasks.base import Objective
from loretta_core.tasks.data import toy
from loretta_core.tasks.data.benchmarks import BENCHMARKS, STSB_RANGE
from loretta_core.tasks.data.jsonl import load_jsonl
from loretta_core.tasks.data.mezo_prompts import MEZO_ENDING, RANK_BY_LM_LOSS
from loretta_core.tasks.data.rows import Row, TaskData, content_of
from loretta_core.tasks.data.scored_by import scorer_of
from loretta_core.tasks.data.scored_rows import count_shared
from loretta_core.tasks.data.splits import load_benchmark
from loretta_core.tasks.data.toy import toy_rows
from loretta_core.tasks.formats.candidates import CandidateRanking
from loretta_core.tasks.formats.generation import Generation
from loretta_core.tasks.formats.head import ClassificationHead, RegressionHead
from loretta_core.tasks.formats.masked_prompt import MaskedPrompt, MaskedRegression


def load_data(task: TaskConfig) -> TaskData:
    """Read or generate the rows of a task. Raises DataError."""
    match task:
        case ToySentiment() | ToyEntailment() | ToyQa():
            splits, names = toy_rows(task)
            return _task_data(task, splits, names)
        case Jsonl():
            return _task_data(task, *load_jsonl(task))
        case Glue() | Decoder():
            splits, notes = load_benchmark(task)
            return _task_data(task, splits, BENCHMARKS[task.type].labels, notes)


def build_objective(task: TaskConfig, *, tokenizer: PreTrainedTokenizerBase, num_labels: int, head_order: Sequence[int] = ()) -> Objective:
    """Return the objective of a task; `head_order` is that of a tuned classifier's labels. Raises DataError if the prompt does not fit the tokenizer or the
    labels.
    """
    match task:
        case Jsonl(objective="causal") | Glue(objective="causal") | ToySentiment(objective="causal") | ToyEntailment(objective="causal") | ToyQa() | Decoder():
            return _causal(task, tokenizer, num_labels)
        case Glue(objective="head"):
            if not BENCHMARKS[task.type].labels:
                return RegressionHead(tokenizer, max_length=task.length)
            return ClassificationHead(tokenizer, max_length=task.length, order=head_order)
        case Glue():
            benchmark = BENCHMARKS[task.type]
            assert benchmark.template is not None, "every GLUE task has a template"
            prompt = MaskedPrompt(tokenizer, template=benchmark.template, verbalizer=benchmark.verbalizer, max_length=task.length)
            return prompt if benchmark.labels else MaskedRegression(prompt, low=STSB_RANGE[0], high=STSB_RANGE[1])
        case Jsonl(regression=True):
            return RegressionHead(tokenizer, max_length=task.max_length)
        case ToyEntailment() | ToySentiment(objective="head") | Jsonl(objective="head"):
            return ClassificationHead(tokenizer, max_length=task.max_length, order=head_order)
    template, verbalizer = (toy.TEMPLATE, toy.VERBALIZER) if isinstance(task, ToySentiment) else (task.template, task.verbalizer)
    assert template is not None, "the config requires a template for a prompt"
    assert verbalizer is not None, "the config requires a verbalizer for a prompt"
    _one_word_per_label(verbalizer, num_labels)
    return MaskedPrompt(tokenizer, template=template, verbalizer=verbalizer, max_length=task.max_length)


def _causal(task: TaskConfig, tokenizer: PreTrainedTokenizerBase, num_labels: int) -> Objective:
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # Llama and GPT-2 have none; padding is masked, so any token does
    match task:
        case Jsonl(answer=str()):
            return Generation(tokenizer, max_length=task.length, max_new_tokens=task.max_new_tokens, stop=task.stop, end_tokens=task.end_tokens)
        case Decoder(type="squad" | "drop"):
            return Generation(
                tokenizer, max_length=task.length, max_new_tokens=task.max_new_tokens, stop=task.stop, end_tokens=task.end_tokens, ending=MEZO_ENDING
            )
        case ToyQa():
            return Generation(tokenizer, max_length=task.length, max_new_tokens=task.max_new_tokens, stop=[MEZO_ENDING], ending=MEZO_ENDING)
    if isinstance(task, Jsonl):
        _one_word_per_label(task.verbalizer or (), num_labels)
    return CandidateRanking(tokenizer, max_length=task.length, rank_loss=task.type not in RANK_BY_LM_LOSS)


def _one_word_per_label(verbalizer: Sequence[str], num_labels: int) -> None:
    if len(verbalizer) != num_labels:
        raise DataError(f"task.verbalizer has {len(verbalizer)} words and the task {num_labels} labels; give one word per label")


def _task_data(task: TaskConfig, splits: Mapping[str, Sequence[Row]], names: tuple[str, ...], notes: tuple[str, ...] = ()) -> TaskData:
    validation, test = splits["validation"], splits.get("test", splits["validation"])
    seen = count_shared(test, others=validation) == len(test)  # also where the same file is named twice
    return TaskData(
        splits["train"],
        validation,
        test,
        names,
        _digest(names, splits),
        test_sha256=_digest(names, test),
        scorer=scorer_of(task, names),
        notes=notes,
        scored_on="validation" if seen else "test",
    )


def _digest(names: Sequence[str], rows: Sequence[Row] | Mapping[str, Sequence[Row]]) -> str:
    """Return the digest of the JSON of label names and rows, or splits of rows, which is never there as a whole."""
    digest = hashlib.sha256()
    for part in chain((f"[{json.dumps(names)}, ",), _json_of_splits(rows) if isinstance(rows, Mapping) else _json_of_rows(rows), ("]",)):
        digest.update(part.encode())
    return digest.hexdigest()


def _json_of_splits(splits: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    for number, split in enumerate(sorted(splits)):
        yield f"{', ' if number else '{'}{json.dumps(split)}: "
        yield from _json_of_rows(splits[split])
    yield "}"


def _json_of_rows(rows: Sequence[Row]) -> Iterator[str]:
    yield "["
    for number, row in enumerate(rows):
        yield (", " if number else "") + json.dumps(content_of(row), sort_keys=True)
    yield "]"
