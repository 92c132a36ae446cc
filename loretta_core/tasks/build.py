"""Builds the rows and the objective of a task config."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from transformers import PreTrainedTokenizerBase

from loretta_core.config.metrics import READ_LIKELIHOODS
from loretta_core.config.task import (
    Chat,
    ConversationTask,
    Decoder,
    Glue,
    Instruct,
    Intents,
    Jsonl,
    Maths,
    Mmlu,
    MultiLabel,
    MultipleChoice,
    TaskConfig,
    TokenClassification,
    ToyEntailment,
    ToyInstruct,
    ToyQa,
    ToySentiment,
)
from loretta_core.errors import DataError
from loretta_core.tasks.base import Objective
from loretta_core.tasks.chat.conversation import Conversation
from loretta_core.tasks.chat.templates import resolve_template, template_text
from loretta_core.tasks.data import toy
from loretta_core.tasks.data.benchmarks import BENCHMARKS, STSB_RANGE
from loretta_core.tasks.data.conversations.load import load_conversations
from loretta_core.tasks.data.jsonl import load_jsonl
from loretta_core.tasks.data.labelled.multi_label import load_multi_label
from loretta_core.tasks.data.labelled.multiple_choice import load_multiple_choice
from loretta_core.tasks.data.labelled.token_classification import load_token_classification
from loretta_core.tasks.data.mezo_prompts import MEZO_ENDING, RANK_BY_LM_LOSS
from loretta_core.tasks.data.rows import Row, TaskData, content_of
from loretta_core.tasks.data.scored_by import scorer_of
from loretta_core.tasks.data.scored_rows import count_shared
from loretta_core.tasks.data.splits import load_benchmark
from loretta_core.tasks.data.toy import toy_rows
from loretta_core.tasks.formats.candidates import CandidateRanking
from loretta_core.tasks.formats.generation import Generation
from loretta_core.tasks.formats.head import ClassificationHead, RegressionHead
from loretta_core.tasks.formats.labelled.multi_label_head import MultiLabelHead
from loretta_core.tasks.formats.labelled.multiple_choice import MultipleChoiceRanking
from loretta_core.tasks.formats.labelled.token_head import TokenHead
from loretta_core.tasks.formats.masked_prompt import MaskedPrompt, MaskedRegression


def load_data(task: TaskConfig) -> TaskData:
    """Read or generate the rows of a task. Raises DataError."""
    match task:
        case ToySentiment() | ToyEntailment() | ToyQa() | ToyInstruct():
            splits, names = toy_rows(task)
            return _task_data(task, splits, names)
        case Jsonl():
            return _task_data(task, *load_jsonl(task))
        case Instruct() | Chat():
            splits, notes = load_conversations(task)
            return _task_data(task, splits, (), notes)
        case MultipleChoice():
            splits, notes = load_multiple_choice(task)
            return _task_data(task, splits, (), notes)
        case MultiLabel():
            return _task_data(task, *load_multi_label(task))
        case TokenClassification():
            return _task_data(task, *load_token_classification(task))
        case Glue() | Decoder() | Maths() | Mmlu() | Intents():
            splits, notes = load_benchmark(task)
            return _task_data(task, splits, BENCHMARKS[task.type].labels, notes)


def build_objective(task: TaskConfig, *, tokenizer: PreTrainedTokenizerBase, num_labels: int, head_order: Sequence[int] = ()) -> Objective:
    """Return the objective of a task; `head_order` is that of a tuned classifier's labels. Raises DataError if the prompt does not fit the tokenizer or the
    labels.
    """
    match task:
        case Jsonl(objective="causal") | Glue(objective="causal") | ToySentiment(objective="causal") | ToyEntailment(objective="causal") | ToyQa() | Decoder():
            return _causal(task, tokenizer, num_labels)
        case Instruct() | Chat() | ToyInstruct():
            return _conversation(task, tokenizer)
        case MultipleChoice() | Mmlu() | MultiLabel() | TokenClassification() | Maths() | Intents():
            return _of_own_kind(task, tokenizer, num_labels, head_order)
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


def _conversation(task: ConversationTask, tokenizer: PreTrainedTokenizerBase) -> Conversation:
    _set_padding(tokenizer)
    template = resolve_template(task, tokenizer)
    tokenizer.chat_template = template.text  # what encodes rows and keys their cache is the tokenizer with its template
    stop, ends = (task.stop, task.end_tokens) if isinstance(task, Instruct | Chat) else ((), None)
    return Conversation(
        tokenizer,
        max_length=task.length,
        max_new_tokens=task.max_new_tokens,
        note=template.note,
        stop=stop,
        end_tokens=[template.end] if ends is None and template.end is not None else ends,
        packing=task.packing,
        writes=not isinstance(task, Instruct | Chat) or task.resolved_metric not in READ_LIKELIHOODS,
    )


def _of_own_kind(
    task: MultipleChoice | Mmlu | MultiLabel | TokenClassification | Maths | Intents, tokenizer: PreTrainedTokenizerBase, num_labels: int, order: Sequence[int]
) -> Objective:
    match task:
        case MultipleChoice() | Mmlu():
            _set_padding(tokenizer)
            return MultipleChoiceRanking(tokenizer, max_length=task.length, rank_loss=task.by == "letter", normalize=task.normalize)
        case MultiLabel():
            return MultiLabelHead(tokenizer, max_length=task.length, order=order)
        case TokenClassification():
            return TokenHead(tokenizer, max_length=task.length, order=order)
        case Intents(objective="head"):
            return ClassificationHead(tokenizer, max_length=task.length, order=order)
    return _causal(task, tokenizer, num_labels)


def _set_padding(tokenizer: PreTrainedTokenizerBase) -> None:
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # Llama and GPT-2 have none; padding is masked, so any token does


def _causal(task: TaskConfig, tokenizer: PreTrainedTokenizerBase, num_labels: int) -> Objective:
    _set_padding(tokenizer)
    match task:
        case Jsonl(answer=str()) | Maths():
            return Generation(
                tokenizer,
                max_length=task.length,
                max_new_tokens=task.max_new_tokens,
                stop=task.stop,
                end_tokens=task.end_tokens,
                writes=task.metric not in READ_LIKELIHOODS,
            )
        case Decoder(type="squad" | "drop"):
            return Generation(
                tokenizer,
                max_length=task.length,
                max_new_tokens=task.max_new_tokens,
                stop=task.stop,
                end_tokens=task.end_tokens,
                ending=MEZO_ENDING,
                writes=task.metric not in READ_LIKELIHOODS,
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
    file = template_text(task) if isinstance(task, ConversationTask) else None
    seen = count_shared(test, others=validation) == len(test)  # also where the same file is named twice
    return TaskData(
        splits["train"],
        validation,
        test,
        names,
        _digest(names, splits, also=file or ""),
        test_sha256=_digest(names, test),
        scorer=scorer_of(task, names),
        notes=notes,
        scored_on="validation" if seen else "test",
    )


def _digest(names: Sequence[str], rows: Sequence[Row] | Mapping[str, Sequence[Row]], *, also: str = "") -> str:
    """Return the digest of the JSON of label names and rows, or splits of rows, which is never there as a whole, and of what `also` decides the tokens."""
    digest = hashlib.sha256(also.encode())
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
