"""Loads and splits a published task by MeZO's protocol: train is shuffled by seed, its end chooses the checkpoint, test is official validation, always the same
rows of it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from loretta_core.config.task import Decoder, Intents, Maths, Mmlu, Published
from loretta_core.errors import DataError
from loretta_core.tasks.data.benchmarks import BENCHMARKS, Benchmark
from loretta_core.tasks.data.mezo_prompts import PROMPTS
from loretta_core.tasks.data.named.prompts import gsm8k_row, intent_row, metamath_row, mmlu_row
from loretta_core.tasks.data.official.rows import benchmark_rows
from loretta_core.tasks.data.reading.cells import text_of
from loretta_core.tasks.data.reading.files import Found, Record
from loretta_core.tasks.data.reading.labels import LabelNames, labels_of, number_of
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.scored_by import scorer_of
from loretta_core.tasks.data.scored_rows import TEST_SEED
from loretta_core.tasks.scoring.stops import check_stops


def load_benchmark(task: Published) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """Return the rows of train, validation and test, and notes on the splits for the record. Raises DataError with the place of a bad row."""
    benchmark = BENCHMARKS[task.type]
    scorer_of(task, benchmark.labels)
    if isinstance(task, Maths) and task.type == "metamathqa":
        return _trained_on_metamath(task)
    (train, notes_on_train), (held, notes_on_test) = (_rows(task, benchmark, split) for split in (benchmark.train, benchmark.validation))
    order = np.random.RandomState(task.data_seed).permutation(len(train))
    shuffled = [train[index] for index in order]
    picked = np.random.RandomState(TEST_SEED).permutation(len(held))[: task.test_rows]
    splits = {"test": [held[index] for index in picked]}
    splits["train"], splits["validation"], notes = _divide(task, shuffled)
    return splits, tuple(dict.fromkeys((*notes_on_train, *notes_on_test, *notes)))


def _divide(task: Published, rows: list[Row]) -> tuple[list[Row], list[Row], tuple[str, ...]]:
    if task.protocol == "k_shot":
        return _per_class(task, rows)
    wanted = task.train_rows + task.validation_rows if task.protocol == "low_data" else task.validation_rows + 1
    chosen = rows[: task.train_rows + task.validation_rows] if task.protocol == "low_data" else rows
    if len(rows) >= wanted:
        return chosen[: -task.validation_rows], chosen[-task.validation_rows :], ()
    # CB has 250 rows, COPA 400, WSC 554: taking 500 for validation left the authors' WSC 54 rows to train on.
    held = min(task.validation_rows, 100, max(1, len(rows) // 5 if len(rows) < 250 else 100))
    if len(rows) < 2:
        raise DataError(f"{task.type}: {len(rows)} training rows; at least 2 are needed, one of them for validation")
    kept = chosen[:-held][: task.train_rows] if task.protocol == "low_data" else chosen[:-held]
    note = f"{task.type} has {len(rows)} training rows, fewer than the {wanted} asked for: {len(kept)} train, {held} choose the checkpoint"
    return kept, chosen[-held:], (note,)


def _per_class(task: Published, rows: list[Row]) -> tuple[list[Row], list[Row], tuple[str, ...]]:
    by_label: dict[int | float, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row.label].append(row)
    for label, members in sorted(by_label.items()):
        if len(members) < 2 * task.shots:
            name = BENCHMARKS[task.type].labels[int(label)]
            raise DataError(f"{task.type}: label {name!r} has {len(members)} training rows; shots = {task.shots} needs {2 * task.shots}, half for validation")
    train = [row for _, members in sorted(by_label.items()) for row in members[: task.shots]]
    return train, [row for _, members in sorted(by_label.items()) for row in members[task.shots : 2 * task.shots]], ()


def _rows(task: Published, benchmark: Benchmark, split: str) -> tuple[list[Row], tuple[str, ...]]:
    found = benchmark_rows(task, benchmark, split)
    if isinstance(task, Mmlu) and split == benchmark.validation and task.subjects:
        found = _of_subjects(task, found)
    labels = labels_of([], names=benchmark.labels, column="label") if benchmark.labels else None
    return [_row(task, benchmark, labels, item, place) for place, item in found.rows], found.notes


def _of_subjects(task: Mmlu, found: Found) -> Found:
    there = {str(item.get("subject")) for _, item in found.rows}
    unknown = [subject for subject in task.subjects if subject not in there]
    if unknown:
        raise DataError(f"task.subjects names {unknown[0]!r}; subjects there: {', '.join(sorted(there))}")
    return replace(found, rows=[(place, item) for place, item in found.rows if item.get("subject") in task.subjects])


def _row(task: Published, benchmark: Benchmark, labels: LabelNames | None, item: Record, place: str) -> Row:
    text = {name: text_of(item, name, place) for name in benchmark.text}
    if labels is not None:
        item = {**item, "label": labels.index(item["label"], place)}
    if isinstance(task, Maths | Mmlu | Intents) and task.objective == "causal":
        return replace(_named(task, item, place), place=place)
    if task.objective == "causal":
        return replace(_prompted(task, item, place), place=place)
    return Row(text, item["label"] if labels is not None else number_of(item["label"], place), place=place)


MOST_CHARACTERS = 1300
"""Longest query and response of MetaMathQA that is trained on (PEFT's method comparison): 93.8 % of them are shorter."""


def _trained_on_metamath(task: Maths) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """Return training rows of MetaMathQA, and validation and test rows of GSM8K's two splits, all in the format of PEFT's method comparison."""
    found = benchmark_rows(task, BENCHMARKS[task.type], "train")
    short = [(place, item) for place, item in found.rows if len(f"{item['query']} {item['response']}") <= MOST_CHARACTERS]
    train = [metamath_row(text_of(item, "query", place), item["response"], place) for place, item in short]
    gsm8k = Maths(type="gsm8k", path=task.gsm8k_path)
    splits, notes = {}, list(found.notes)
    for split, source in (("validation", "train"), ("test", "test")):
        held = benchmark_rows(gsm8k, BENCHMARKS["gsm8k"], source)
        splits[split] = [metamath_row(text_of(item, "question", place).strip(), item["answer"], place) for place, item in held.rows]
        notes += held.notes
    _check_written(task, [*splits["validation"], *splits["test"]])
    order = np.random.RandomState(task.data_seed)
    drawn = [train[index] for index in order.permutation(len(train))]
    chosen = [splits["validation"][index] for index in order.permutation(len(splits["validation"]))[: task.validation_rows]]
    scored = [splits["test"][index] for index in np.random.RandomState(TEST_SEED).permutation(len(splits["test"]))[: task.test_rows]]
    if len(short) < len(found.rows):
        notes.append(f"{len(found.rows) - len(short)} of {len(found.rows)} rows of MetaMathQA have more than {MOST_CHARACTERS} characters and are left out")
    return {"train": drawn if task.protocol == "full" else drawn[: task.train_rows], "validation": chosen, "test": scored}, tuple(dict.fromkeys(notes))


def _named(task: Maths | Mmlu | Intents, item: Record, place: str) -> Row:
    if isinstance(task, Mmlu):
        return mmlu_row(item, task, place)
    if isinstance(task, Intents):
        return intent_row(item)
    row = gsm8k_row(item, place)
    _check_written(task, [row])
    return row


def _check_written(task: Maths, rows: list[Row]) -> None:
    """Raise DataError for a reference that no answer could equal."""
    scorer = scorer_of(task, ())
    for row in rows:
        check_stops(row.answers[0], task.stop, row.place)
        scorer.check_answer(row.answers[0], row.place)


def _prompted(task: Published, item: Record, place: str) -> Row:
    try:
        row = PROMPTS[task.type](item)
    except (KeyError, TypeError) as error:
        raise DataError(f"{place}: the columns of {task.type} are not as on the hub ({type(error).__name__}: {error})") from None
    except DataError as error:
        raise DataError(f"{place}: {error}") from None
    if not row.candidates and not (row.answers and all(row.answers)):
        raise DataError(f"{place}: no accepted answer, expected at least one that is not empty")
    if isinstance(task, Decoder) and not row.candidates:
        for answer in row.answers:
            check_stops(answer, task.stop, place)
    return row
