"""Loads and splits a published task by MeZO's protocol: train is shuffled by seed, its end chooses the checkpoint, test is official validation, always the same
rows of it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from loretta_core.config.task import Decoder, Glue
from loretta_core.errors import DataError
from loretta_core.tasks.data.benchmarks import BENCHMARKS, Benchmark
from loretta_core.tasks.data.mezo_prompts import PROMPTS
from loretta_core.tasks.data.official.rows import benchmark_rows
from loretta_core.tasks.data.reading.cells import text_of
from loretta_core.tasks.data.reading.files import Record
from loretta_core.tasks.data.reading.labels import LabelNames, labels_of, number_of
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.scored_by import scorer_of
from loretta_core.tasks.data.scored_rows import TEST_SEED
from loretta_core.tasks.scoring.stops import check_stops


def load_benchmark(task: Glue | Decoder) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """Return the rows of train, validation and test, and notes on the splits for the record. Raises DataError with the place of a bad row."""
    benchmark = BENCHMARKS[task.type]
    scorer_of(task, benchmark.labels)
    (train, notes_on_train), (held, notes_on_test) = (_rows(task, benchmark, split) for split in ("train", benchmark.validation))
    order = np.random.RandomState(task.data_seed).permutation(len(train))
    shuffled = [train[index] for index in order]
    picked = np.random.RandomState(TEST_SEED).permutation(len(held))[: task.test_rows]
    splits = {"test": [held[index] for index in picked]}
    splits["train"], splits["validation"], notes = _divide(task, shuffled)
    return splits, tuple(dict.fromkeys((*notes_on_train, *notes_on_test, *notes)))


def _divide(task: Glue | Decoder, rows: list[Row]) -> tuple[list[Row], list[Row], tuple[str, ...]]:
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


def _per_class(task: Glue | Decoder, rows: list[Row]) -> tuple[list[Row], list[Row], tuple[str, ...]]:
    by_label: dict[int | float, list[Row]] = defaultdict(list)
    for row in rows:
        by_label[row.label].append(row)
    for label, members in sorted(by_label.items()):
        if len(members) < 2 * task.shots:
            name = BENCHMARKS[task.type].labels[int(label)]
            raise DataError(f"{task.type}: label {name!r} has {len(members)} training rows; shots = {task.shots} needs {2 * task.shots}, half for validation")
    train = [row for _, members in sorted(by_label.items()) for row in members[: task.shots]]
    return train, [row for _, members in sorted(by_label.items()) for row in members[task.shots : 2 * task.shots]], ()


def _rows(task: Glue | Decoder, benchmark: Benchmark, split: str) -> tuple[list[Row], tuple[str, ...]]:
    found = benchmark_rows(task, benchmark, split)
    labels = labels_of([], names=benchmark.labels, column="label") if benchmark.labels else None
    return [_row(task, benchmark, labels, item, place) for place, item in found.rows], found.notes


def _row(task: Glue | Decoder, benchmark: Benchmark, labels: LabelNames | None, item: Record, place: str) -> Row:
    text = {name: text_of(item, name, place) for name in benchmark.text}
    if labels is not None:
        item = {**item, "label": labels.index(item["label"], place)}
    if task.objective == "causal":
        return replace(_prompted(task, item, place), place=place)
    return Row(text, item["label"] if labels is not None else number_of(item["label"], place), place=place)


def _prompted(task: Glue | Decoder, item: Record, place: str) -> Row:
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
