"""Rows of official files that hold several questions, or spans within a row → rows as the hub has them: MultiRC, ReCoRD, WSC, SQuAD, DROP, MMLU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from loretta_core.tasks.data.official.layouts import MMLU_CHOICES

Item = Mapping[str, Any]


def _multirc(item: Item) -> Iterator[Item]:
    passage = item["passage"]
    for question in passage["questions"]:
        for answer in question["answers"]:
            yield {"paragraph": passage["text"], "question": question["question"], "answer": answer["text"], "label": answer["label"]}


def _record(item: Item) -> Iterator[Item]:
    text = item["passage"]["text"]
    entities = [text[span["start"] : span["end"] + 1] for span in item["passage"]["entities"]]  # the official ends are inclusive
    for query in item["qas"]:
        answers = list(dict.fromkeys(answer["text"] for answer in query["answers"]))
        yield {"passage": text, "query": query["query"], "entities": list(dict.fromkeys(entities)), "answers": answers}


def _wsc(item: Item) -> Iterator[Item]:
    yield {**item, **{name: item["target"][name] for name in ("span1_text", "span2_text")}}


def _squad(item: Item) -> Iterator[Item]:
    for paragraph in item["paragraphs"]:
        for question in paragraph["qas"]:
            answers = {"text": [one["text"] for one in question["answers"]], "answer_start": [one["answer_start"] for one in question["answers"]]}
            yield {"title": item["title"], "context": paragraph["context"], "question": question["question"], "answers": answers}


def _drop(item: Item) -> Iterator[Item]:
    for question in item["qa_pairs"]:
        given = [_drop_answer(one) for one in (question["answer"], *question.get("validated_answers", ()))]
        spans = [answer for answer in dict.fromkeys(given) if answer]
        if spans:
            yield {"passage": item["passage"], "question": question["question"], "answers_spans": {"spans": spans}}


def _mmlu(item: Item) -> Iterator[Item]:
    yield {"question": item["question"], "choices": [item[name] for name in MMLU_CHOICES], "answer": item["answer"], "subject": ""}


def _drop_answer(answer: Item) -> str:
    """Return a number, spans joined by "and", or a date as one text."""
    date = answer.get("date") or {}
    return (
        str(answer.get("number") or "")
        or " and ".join(answer.get("spans") or ())
        or " ".join(filter(None, (date.get(part) for part in ("day", "month", "year"))))
    )


NESTED: Mapping[str, tuple[str, Callable[[Item], Iterator[Item]]]] = {
    "multirc": ("passage", _multirc),
    "record": ("qas", _record),
    "wsc": ("target", _wsc),
    "squad": ("paragraphs", _squad),
    "drop": ("qa_pairs", _drop),
    "mmlu": (MMLU_CHOICES[0], _mmlu),
}
"""task → the column that only the official form has, and how its rows are divided."""


def flat_rows(task: str, item: Any) -> list[Item]:
    """Return the rows that a row of a file stands for: itself, unless it has the official nested form. Raises KeyError or TypeError for another form."""
    column, divide = NESTED.get(task, ("", None))
    return list(divide(item)) if divide is not None and isinstance(item, Mapping) and column in item else [item]
