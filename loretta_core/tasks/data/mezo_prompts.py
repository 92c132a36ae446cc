"""MeZO's prompts for decoders (arXiv 2305.17333, table 14): hub row → prompt, candidates, right answer. The texts are pinned by a test.

A candidate is appended to the prompt as it is, so a space between them belongs to the candidate. RTE is GLUE's, whose sentences are SuperGLUE's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from loretta_core.errors import DataError
from loretta_core.tasks.data.rows import Row, TaskData

Item = Mapping[str, Any]
MEZO_ENDING = "\n"
"""What follows a written answer in MeZO's format, and ends it."""
RANK_BY_LM_LOSS = ("copa", "record")
"""Tasks whose candidates differ from row to row: trained by the LM loss on the right one."""


def _sst2(item: Item) -> Row:
    return _labelled(f"{item['sentence'].strip()} It was", (" terrible", " great"), item)


def _rte(item: Item) -> Row:
    return _labelled(f'{item["sentence1"]}\nDoes this mean that "{item["sentence2"]}" is true? Yes or No?\n', ("Yes", "No"), item)


def _cb(item: Item) -> Row:
    return _labelled(f'Suppose {item["premise"]} Can we infer that "{item["hypothesis"]}"? Yes, No, or Maybe?\n', ("Yes", "No", "Maybe"), item)


def _boolq(item: Item) -> Row:
    question = item["question"]
    question = question if question.endswith("?") else f"{question}?"
    return _labelled(f"{item['passage']} {question[0].upper()}{question[1:]}\n", ("No", "Yes"), item)


def _wsc(item: Item) -> Row:
    asked = f'does the pronoun "{item["span2_text"].lower()}" refer to {item["span1_text"]}? Yes or No?'
    return _labelled(f"{item['text']}\nIn the previous sentence, {asked}\n", ("No", "Yes"), item)


def _wic(item: Item) -> Row:
    asked = f'Does the word "{item["word"]}" have the same meaning in these two sentences? Yes, No?'
    return _labelled(f"{asked}\n{item['sentence1']}\n{item['sentence2']}\n", ("No", "Yes"), item)


def _multirc(item: Item) -> Row:
    asked = f'I found this answer "{item["answer"]}". Is that correct? Yes or No?'
    return _labelled(f"{item['paragraph']}\nQuestion: {item['question']}\n{asked}\n", ("No", "Yes"), item)


def _copa(item: Item) -> Row:
    joint = {"effect": "so", "cause": "because"}[item["question"]]
    choices = tuple(f" {_lower_first_word(item[name])}" for name in ("choice1", "choice2"))
    return _labelled(f"{item['premise'].rstrip().removesuffix('.')} {joint}", choices, item)


def _record(item: Item) -> Row:
    entities, answers = tuple(dict.fromkeys(item["entities"])), tuple(item["answers"])
    right = [index for index, entity in enumerate(entities) if entity in answers]
    if not right or "@placeholder" not in item["query"]:
        raise DataError("expected a query with @placeholder and an answer among the entities")
    prompt = f"{item['passage'].replace('@highlight' + chr(10), '- ')}\n-"
    # The record keeps the entities' names; what is scored is the whole query.
    return Row({"prompt": prompt, "query": f" {item['query']}"}, right[0], candidates=entities, answers=answers)


def _squad(item: Item) -> Row:
    prompt = f"Title: {item['title']}\nContext: {item['context']}\nQuestion: {item['question'].strip()}\nAnswer:"
    return _written(prompt, item["answers"]["text"])


def _drop(item: Item) -> Row:
    return _written(f"Passage: {item['passage']}\nQuestion: {item['question'].strip()}\nAnswer:", item["answers_spans"]["spans"])


PROMPTS: dict[str, Callable[[Item], Row]] = {
    "sst2": _sst2,
    "rte": _rte,
    "cb": _cb,
    "boolq": _boolq,
    "wsc": _wsc,
    "wic": _wic,
    "multirc": _multirc,
    "copa": _copa,
    "record": _record,
    "squad": _squad,
    "drop": _drop,
}


def with_demonstrations(data: TaskData, *, count: int, seed: int) -> TaskData:
    """Prepend the same `count` solved training rows to every prompt of validation and test. Raises DataError if there are fewer."""
    if count > len(data.train):
        raise DataError(f"trainer.demonstrations = {count}, and there are {len(data.train)} training rows")
    shown = "\n\n".join(solved(row) for row in random.Random(seed).sample(list(data.train), count))
    validation = [_behind(shown, row) for row in data.validation]
    test = validation if data.test is data.validation else [_behind(shown, row) for row in data.test]
    return replace(data, validation=validation, test=test)


def solved(row: Row) -> str:
    """Return the prompt with its right answer."""
    return (row.text["prompt"] + right_answer(row)).strip()


def right_answer(row: Row) -> str:
    """Return the text that the model should continue the prompt with."""
    return candidate_text(row, int(row.label)) if row.candidates else row.lead + row.answers[0]


def candidate_text(row: Row, index: int) -> str:
    """Return the text that is appended to the prompt for a candidate."""
    return row.text["query"].replace("@placeholder", row.candidates[index]) if "query" in row.text else row.candidates[index]


def _behind(shown: str, row: Row) -> Row:
    return replace(row, text={**row.text, "prompt": f"{shown}\n\n{row.text['prompt']}"})


def _labelled(prompt: str, candidates: tuple[str, ...], item: Item) -> Row:
    return Row({"prompt": prompt}, item["label"], candidates=candidates)


def _written(prompt: str, answers: list[str]) -> Row:
    return Row({"prompt": prompt}, 0, answers=tuple(dict.fromkeys(answer.strip() for answer in answers)), lead=" ")


def _lower_first_word(text: str) -> str:
    first, *rest = text.strip().split(" ")
    return " ".join([first if first == "I" else first.lower(), *rest])
