"""What a record says of its test rows: scores, baselines, the split, shared texts."""

import json

import pytest

from loretta_core.config import cell_from_overrides
from loretta_core.store.record_files import read_record
from loretta_core.train.run import run_cell

pytestmark = pytest.mark.integration


def rows(count, name):
    return [{"text": f"the plot was {'dull' if n % 3 else 'charming'} {name} {n} .", "label": int(n % 3 > 0)} for n in range(count)]


def recorded(directory, *overrides, **splits):
    for split, items in splits.items():
        (directory / f"{split}.jsonl").write_text("\n".join(map(json.dumps, items)))
    files = [f"task.{split}={directory / split}.jsonl" for split in splits]
    cell = cell_from_overrides(["model=toy-bert", "task=jsonl", *files, "method=lora", "trainer=adam", "trainer.steps=2", *overrides])
    return run_cell(cell, directory=directory / "cell")


def test_a_record_has_the_baseline_and_the_loss_that_goes_with_the_score(tmp_path):
    record = recorded(tmp_path, train=rows(30, "train"), validation=rows(20, "validation"), test=rows(30, "test"))
    assert (record.score.scored_on, record.score.rows, record.score.majority) == ("test", 30, 20 / 30)
    assert record.score.validation_loss == dict(record.curves["validation_loss"])[record.score.best_step]
    assert record.warnings == []
    assert read_record(tmp_path / "cell") == record


def test_texts_that_are_in_training_and_test_are_counted(tmp_path):
    test = [*rows(25, "test"), *({**row, "text": f"  {row['text'].upper()}"} for row in rows(5, "train"))]
    record = recorded(tmp_path, train=rows(30, "train"), validation=rows(20, "validation"), test=[*test, rows(1, "validation")[0]])
    assert record.warnings == ["5 of 31 test texts are also training texts", "1 of 31 test texts are also validation texts"]


def test_rows_that_are_held_out_give_the_score(tmp_path):
    record = recorded(tmp_path, train=rows(100, "train"), validation=rows(20, "validation"))
    assert (record.score.scored_on, record.score.rows) == ("test", 20)
    assert record.warnings == ["task.test names no file: 20 of the 100 training rows were held out as test rows, 80 train"]


def test_without_rows_that_nothing_was_chosen_on_the_record_says_so(tmp_path):
    record = recorded(tmp_path, train=rows(30, "train"), validation=rows(20, "validation"))
    assert (record.score.scored_on, record.score.rows) == ("validation", 20)
    assert [note for note in record.warnings if note.startswith("there are no rows that nothing was chosen on")]
