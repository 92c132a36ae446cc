"""A task's files are read once per process, and again when they change."""

import os

import pytest

from loretta_core.config.task import Jsonl, ToySentiment
from loretta_core.errors import DataError
from loretta_core.tasks.build import load_data
from loretta_core.tasks.data_cache import TASKS_KEPT, clear_data_cache, load_data_once


@pytest.fixture(autouse=True)
def _empty():
    clear_data_cache()
    yield
    clear_data_cache()


def written(directory, *, words="good"):
    for split in ("train", "validation"):
        (directory / f"{split}.csv").write_text("text,label\n" + "".join(f"{words} {number},{number % 2}\n" for number in range(6)))
    return Jsonl(type="jsonl", train=str(directory / "train.csv"), validation=str(directory / "valid*.csv"))


def test_files_are_read_once(tmp_path):
    task = written(tmp_path)
    data = load_data_once(task)
    assert data == load_data(task)
    assert load_data_once(task) is data
    assert load_data_once(task.model_copy(update={"train_rows": 3})) is not data


def test_changed_files_are_read_again(tmp_path):
    task = written(tmp_path)
    first = load_data_once(task)
    written(tmp_path, words="best")
    os.utime(tmp_path / "train.csv", ns=(1, 1))
    assert load_data_once(task).inputs_sha256 != first.inputs_sha256


def test_few_tasks_are_kept(tmp_path):
    task = written(tmp_path)
    first = load_data_once(task)
    for seed in range(TASKS_KEPT):
        load_data_once(ToySentiment(type="toy_sentiment", train_rows=8, validation_rows=8, test_rows=8, data_seed=seed))
    assert load_data_once(task) is not first


def test_a_file_that_is_gone_is_told(tmp_path):
    task = written(tmp_path)
    load_data_once(task)
    (tmp_path / "train.csv").unlink()
    with pytest.raises(DataError, match="no such file"):
        load_data_once(task)
