"""Rows on disk are read, checked, digested, encoded and trained on as rows in memory are; a million of them take little memory."""

import json
import os
import subprocess
import sys

import pytest

from loretta_core.config import cell_from_overrides
from loretta_core.config.task import Jsonl
from loretta_core.errors import DataError
from loretta_core.tasks import token_cache
from loretta_core.tasks.build import load_data
from loretta_core.tasks.data.reading import disk_list
from loretta_core.tasks.data.reading.disk_list import Chosen, DiskList
from loretta_core.train.build import build_run


def line(number):
    return {"text": f"the film number {number} was {'good' if number % 2 else 'bad'}", "label": ["neg", "pos"][number % 2]}


def written(directory, *, suffix, rows=120, bad=None):
    for split, count in (("train", rows), ("validation", 30)):
        lines = [line(number if split == "train" else number + 10_000) for number in range(count)]
        if bad is not None and split == "train":
            lines[bad] = {**lines[bad], "label": None}
        path = directory / f"{split}{suffix}"
        if suffix == ".jsonl":
            path.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
        elif suffix == ".csv":
            path.write_text("text,label\n" + "".join(f'"{one["text"]}",{one["label"] or ""}\n' for one in lines))
        else:
            pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
            parquet.write_table(pyarrow.Table.from_pylist(lines), path)
    return Jsonl(type="jsonl", train=str(directory / f"train{suffix}"), validation=str(directory / f"validation{suffix}"), train_rows=60)


@pytest.fixture
def small_is_large(monkeypatch):
    monkeypatch.setattr(disk_list, "LARGE_ROWS", 40)
    monkeypatch.setattr(token_cache, "ROWS_KEPT", 40)
    monkeypatch.setattr(token_cache, "_AT_ONCE", 7)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_the_same_rows_from_disk(suffix, tmp_path, request):
    task = written(tmp_path, suffix=suffix)
    twin = load_data(task)
    request.getfixturevalue("small_is_large")
    data = load_data(task)
    assert isinstance(data.train, Chosen)
    assert list(data.train) == list(twin.train)
    assert [row.place for row in data.train] == [row.place for row in twin.train]
    assert data.inputs_sha256 == twin.inputs_sha256
    assert (data.test_sha256, data.label_names, data.notes) == (twin.test_sha256, twin.label_names, twin.notes)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_errors_name_file_and_row(suffix, tmp_path, small_is_large):
    task = written(tmp_path, suffix=suffix, bad=70)
    with pytest.raises(DataError, match=rf"train\{suffix}:{71 if suffix == '.jsonl' else 72}: column 'label' is an empty cell"):
        load_data(task)


def test_trains_from_disk_as_from_memory(tmp_path, request):
    written(tmp_path, suffix=".jsonl")
    files = [f"task.{split}={tmp_path / split}.jsonl" for split in ("train", "validation")]
    cell = cell_from_overrides(["model=toy-bert", "task.type=jsonl", *files, "method=bitfit", "trainer=adam", "batch_size=4", "trainer.steps=3"])

    def losses():
        run = build_run(cell)
        batches = run.batches(0)
        return run.examples["train"], [run.engine.step(next(batches)) for _ in range(3)]

    _, twin = losses()
    request.getfixturevalue("small_is_large")
    examples, found = losses()
    assert isinstance(examples, DiskList)
    assert found == twin


_LOAD = """
import json, resource, sys
from loretta_core.config import cell_from_overrides
from loretta_core.train.build import build_run
run = build_run(cell_from_overrides(sys.argv[1:]))
batches = run.batches(0)
losses = [run.engine.step(next(batches)) for _ in range(3)]
print(json.dumps([len(run.data.train), losses, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_million_rows_take_less_than_a_gibibyte(suffix, tmp_path):
    written(tmp_path, suffix=suffix, rows=1_000_000)
    files = [f"task.{split}={tmp_path / split}{suffix}" for split in ("train", "validation")]
    command = [sys.executable, "-c", _LOAD, "model=toy-bert", "task.type=jsonl", *files, "method=bitfit", "trainer=adam", "batch_size=4", "trainer.steps=3"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=1500)
    rows, losses, peak_bytes = json.loads(done.stdout.splitlines()[-1])
    assert rows == 999_000
    assert all(0 < loss < 5 for loss in losses)
    assert peak_bytes <= 1 << 30
