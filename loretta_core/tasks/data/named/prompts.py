"""Prompts of GSM8K, MetaMathQA, MMLU and BANKING77: hub row → prompt, candidates or answers.

GSM8K's and MMLU's are those of lm-evaluation-harness (without examples), MetaMathQA's that of PEFT's method comparison, for GSM8K's rows, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loretta_core.config.task import Mmlu
from loretta_core.errors import DataError
from loretta_core.tasks.data.labelled.multiple_choice import choice_row
from loretta_core.tasks.data.named.intents import BANKING77
from loretta_core.tasks.data.reading.cells import text_of
from loretta_core.tasks.data.reading.choices import question_of, right_choices
from loretta_core.tasks.data.rows import Row

Item = Mapping[str, Any]
MMLU = "The following are multiple choice questions (with answers) about {subject}.\n\n"
LEAD = " "
"""Blank between a prompt and a solution."""


def gsm8k_row(item: Item, place: str) -> Row:
    """Return a question with its solution, which ends with `#### N`."""
    return _solved(f"Question: {text_of(item, 'question', place).strip()}\nAnswer:", item["answer"], place)


def metamath_row(query: str, response: Any, place: str) -> Row:
    """Return a question in the format of PEFT's method comparison."""
    return _solved(f"Question: {query} Think step by step.\nAnswer:", response, place)


def mmlu_row(item: Item, task: Mmlu, place: str) -> Row:
    """Return a question with its choices, by letter or by text; the answer is a number from 0 (the hub) or a letter (the official files)."""
    question = question_of(item, "choices", "answer", place)
    answer_is = "letter" if isinstance(item["answer"], str) and item["answer"].strip().isalpha() else "index from 0"
    (right,), _ = right_choices([question], answer_is=answer_is)
    subject = str(item.get("subject") or "").replace("_", " ")
    head = MMLU.format(subject=subject) if subject else ""
    template = head + ("{question}\n{choices}\nAnswer:" if task.by == "letter" else "{question}\nAnswer:")
    return choice_row({"question": text_of(item, "question", place)}, question, right, template=template, by=task.by)


def intent_row(item: Item) -> Row:
    """Return a customer's question with the names of the intents, `card_arrival` as " card arrival"."""
    return Row({"prompt": f"{item['text'].strip()}\nIntent:"}, item["label"], candidates=tuple(f" {spoken(name)}" for name in BANKING77))


def spoken(name: str) -> str:
    """Return the name of an intent in words."""
    return name.rstrip("?").replace("_", " ").casefold()


def _solved(prompt: str, solution: Any, place: str) -> Row:
    if not isinstance(solution, str) or not solution.strip():
        raise DataError(f"{place}: the solution is {solution!r}, expected a text")
    return Row({"prompt": prompt}, 0, answers=(solution.strip(),), lead=LEAD, place=place)
