"""Texts longer than the model or than max_length: refused with their row, or cut and counted; never an index error, never in silence."""

import json

import pytest
from transformers import AutoConfig

from loretta_core.config import cell_from_overrides
from loretta_core.errors import DataError
from loretta_core.tasks.base import Choice, Example
from loretta_core.tasks.formats.context import check_fits, positions_of
from loretta_core.train.run import run_cell


@pytest.mark.parametrize(("model_type", "positions"), [("bert", 512), ("roberta", 510), ("gpt2", 1024), ("opt", 2048), ("t5", None)])
def test_positions(model_type, positions):
    config = AutoConfig.for_model(model_type).to_dict()
    assert positions_of(config) == positions


def test_the_row_is_named():
    fits, long = Example({"input_ids": [0] * 8}, 0), Example({"input_ids": [0] * 5}, 0, choices=(Choice([0] * 9, 1),))
    check_fits([fits, long], positions=None, split="train")
    with pytest.raises(DataError, match=r"train row 2 has 9 tokens and the model reads 8; set task.max_length = 8 or less"):
        check_fits([fits, long], positions=8, split="train")


@pytest.fixture
def task(tmp_path):
    rows = [{"text": "the plot was dull . " * (20 if n == 3 else 1), "label": n % 2} for n in range(6)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return ["model=toy-bert", "task=jsonl", *(f"task.{split}={tmp_path / 'rows.jsonl'}" for split in ("train", "validation")), "method=lora", "trainer=none"]


def test_a_text_longer_than_the_model_is_refused(task, tmp_path):
    with pytest.raises(DataError, match=r"train row 4 has 102 tokens and the model reads 64"):
        run_cell(cell_from_overrides(task), directory=tmp_path / "cell")


def test_a_text_that_is_cut_is_counted(task, tmp_path):
    record = run_cell(cell_from_overrides([*task, "task.max_length=16"]), directory=tmp_path / "cell")
    assert "1 of 6 train texts are longer than task.max_length and were cut" in record.warnings
