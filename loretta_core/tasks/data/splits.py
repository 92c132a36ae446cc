"""Loads and splits a published task by MeZO's protocol: train is shuffled by seed, its end chooses the checkpoint, test is official validation, always the same
rows of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from loretta_core.config.task import Decoder, Glue
from loretta_core.errors import DataError
from loretta_core.tasks.data.benchmarks import BENCHMARKS, Benchmark
from loretta_core.tasks.data.files import SUFFIXES, read_rows
from loretta_core.tasks.data.jsonl import check_ids, text_of
from loretta_core.tasks.data.mezo_prompts import PROMPTS
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.scored_rows import TEST_SEED

Item = Mapping[str, Any]


def load_benchmark(task: Glue | Decoder) -> tuple[dict[str, list[Row]], tuple[str, ...]]:
    """Return the rows of train, validation and test, and notes on the splits for the record. Raises DataError with the place of a bad row."""
    benchmark = BENCHMARKS[task.type]
    train, held = (_rows(task, benchmark, split) for split in ("train", benchmark.validation))
    order = np.random.RandomState(task.data_seed).permutation(len(train))
    shuffled = [train[index] for index in order]
    picked = np.random.RandomState(TEST_SEED).permutation(len(held))[: task.test_rows]
    splits = {"test": [held[index] for index in picked]}
    splits["train"], splits["validation"], notes = _divide(task, shuffled)
    return splits, notes


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


def _rows(task: Glue | Decoder, benchmark: Benchmark, split: str) -> list[Row]:
    place, items = _items(task, benchmark, split)
    check_ids(items, place)
    return [_row(task, benchmark, item, f"{place}:{number}") for number, item in items]


def _items(task: Glue | Decoder, benchmark: Benchmark, split: str) -> tuple[str, list[tuple[int, Item]]]:
    wanted = {name: task.columns.get(name, name) for name in (*benchmark.text, *task.columns)}
    strangers = task.columns.keys() - {*benchmark.text, *_TARGETS.get(task.type, ("label",))}
    if strangers:
        raise DataError(f"task.columns names {', '.join(sorted(strangers))}; the columns of {task.type} are {', '.join(benchmark.text)} and its label")
    targets = _TARGETS.get(task.type, ("label",))
    needed = [wanted.get(name, name) for name in (*benchmark.text, *targets)]
    if task.path is None:
        place, items = f"{benchmark.hub} {split}", _from_hub(benchmark.hub, benchmark, split)
    else:
        path = _find(Path(task.path).expanduser(), benchmark, split)
        items = [row for piece in path for row in read_rows(piece, columns=needed, label=needed[-1])]
        place = str(path[0])
    return place, [(number, {**item, **{name: item[theirs] for name, theirs in wanted.items() if theirs in item}}) for number, item in items]


_TARGETS: dict[str, tuple[str, ...]] = {"record": ("entities", "answers"), "squad": ("answers",), "drop": ("answers_spans",)}


def _find(directory: Path, benchmark: Benchmark, split: str) -> list[Path]:
    """Find `split`.jsonl (or another format), or the Parquet shards of a hub snapshot. A split named validation_matched may be called validation."""
    if not directory.is_dir():
        raise DataError(f"task.path = {str(directory)!r}: no such directory (paths are relative to the directory the sweep is started in)")
    folders = [directory / part for part in (benchmark.part or "plain_text", "data", ".")]
    names = [split, split.removesuffix("_matched")]
    for folder in folders:
        for name in names:
            single = [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()]
            shards = single[:1] or sorted(folder.glob(f"{name}-*-of-*.parquet"))
            if shards:
                return shards
    raise DataError(f"{directory}: no file for the split {split!r}; expected {split}.jsonl (or .csv, .tsv, .parquet), or a snapshot of {benchmark.hub}")


def _from_hub(hub: str, benchmark: Benchmark, split: str) -> list[tuple[int, Item]]:
    try:
        import datasets
    except ImportError:
        raise DataError(f"data set {hub!r} is read by the package datasets: pip install datasets; or set task.path to a directory") from None
    try:
        rows: Any = datasets.load_dataset(hub, benchmark.part, split=split)
        return list(enumerate(rows, start=1))
    except (OSError, ValueError) as error:  # offline and not in the cache; ConnectionError and DatasetNotFoundError are OSErrors
        raise DataError(
            f"data set {hub!r} is not in the local hub cache and the hub did not serve it. Fetch it where there is a network: "
            f"`hf download --repo-type dataset {hub} --local-dir DIR`, then set task.path = DIR. ({str(error).splitlines()[0]})"
        ) from None


def _row(task: Glue | Decoder, benchmark: Benchmark, item: Item, place: str) -> Row:
    for name in benchmark.text:
        text_of(item, name, place)
    if benchmark.labels and not (type(item["label"]) is int and 0 <= item["label"] < len(benchmark.labels)):
        names = ", ".join(f"{index} {name}" for index, name in enumerate(benchmark.labels))
        raise DataError(f"{place}: label {item['label']!r}, expected one of {names}")
    if task.objective == "causal":
        return _prompted(task, item, place)
    label = item["label"]
    if not benchmark.labels and type(label) not in (int, float):
        raise DataError(f"{place}: label {label!r}, expected a number")
    return Row({name: item[name] for name in benchmark.text}, label if benchmark.labels else float(label))


def _prompted(task: Glue | Decoder, item: Item, place: str) -> Row:
    try:
        row = PROMPTS[task.type](item)
    except (KeyError, TypeError) as error:
        raise DataError(f"{place}: the columns of {task.type} are not as on the hub ({type(error).__name__}: {error})") from None
    except DataError as error:
        raise DataError(f"{place}: {error}") from None
    if not row.candidates and not (row.answers and all(row.answers)):
        raise DataError(f"{place}: no accepted answer, expected at least one that is not empty")
    return row
