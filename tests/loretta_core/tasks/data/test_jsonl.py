"""JSON-lines tasks: what is read, and one clear message per kind of bad file."""

import json

import pytest

from loretta_core.config.task import Jsonl
from loretta_core.errors import DataError
from loretta_core.tasks.build import load_data

ROWS = [{"text": f"sentence {index}", "label": index % 2} for index in range(10)]


@pytest.fixture
def task(tmp_path):
    def write(train=ROWS, validation=ROWS, **fields) -> Jsonl:
        for name, rows in (("train", train), ("validation", validation)):
            body = rows if isinstance(rows, bytes) else "\n".join(json.dumps(row) if isinstance(row, dict) else row for row in rows).encode()
            (tmp_path / f"{name}.jsonl").write_bytes(body)
        return Jsonl(type="jsonl", train=str(tmp_path / "train.jsonl"), validation=str(tmp_path / "validation.jsonl"), **fields)

    return write


def test_rows_and_integer_labels(task):
    data = load_data(task())
    assert [row.text["text"] for row in data.train] == [row["text"] for row in ROWS]
    assert data.label_names == ("0", "1")
    assert data.scored_on == "validation"


def test_named_labels_and_their_order(task):
    rows = [{"text": "a", "label": "pos"}, {"text": "b", "label": "neg"}]
    data = load_data(task(rows, rows, labels=["neg", "pos"]))
    assert [row.label for row in data.train] == [1, 0]


def test_a_draw_depends_on_data_seed_only(task):
    first, again, other = (load_data(task(train_rows=5, data_seed=seed)).train for seed in (0, 0, 1))
    assert first == again != other


def test_the_digest_sees_every_row(task):
    changed = [*ROWS[:-1], {"text": "another", "label": 1}]
    assert load_data(task()).inputs_sha256 != load_data(task(validation=changed)).inputs_sha256


BAD = {
    "missing column": ({"train": [{"txt": "a", "label": 0}]}, {}, r"train.jsonl:1: no column 'text'; columns there: txt, label"),
    "empty split": ({"validation": []}, {}, r"validation.jsonl: the split is empty"),
    "not JSON": ({"train": ["{", *ROWS]}, {}, r"train.jsonl:1: not JSON"),
    "a list": ({"train": ["[1]"]}, {}, r"train.jsonl:1: no column"),
    "empty text": ({"train": [*ROWS, {"text": " ", "label": 1}]}, {}, r"train.jsonl:11: column 'text' is ' '"),
    "text is a number": ({"train": [*ROWS, {"text": 5, "label": 1}]}, {}, r"train.jsonl:11: column 'text' is 5"),
    "stray label": ({"validation": [{"text": "a", "label": 7}]}, {}, r"validation.jsonl:1: label 7, expected one of 0, 1"),
    "unnamed text label": ({"train": [{"text": "a", "label": "pos"}]}, {}, r"label 'pos' is not an integer; give the names"),
    "label gap": ({"train": [{"text": "a", "label": 0}, {"text": "b", "label": 2}]}, {}, r"labels \[0, 2\], expected the integers 0, 1"),
    "boolean label": ({"train": [{"text": "a", "label": True}]}, {}, r"label True is not an integer"),
    "too few rows": ({}, {"train_rows": 50}, r"10 rows, and 50 are asked for"),
    "same id": ({"train": [{**row, "id": index % 9} for index, row in enumerate(ROWS)]}, {}, r"train.jsonl:10: id 0 is also the id of line 1"),
    "wrong encoding": ({"train": '{"text": "é", "label": 0}'.encode("latin-1")}, {}, r"not UTF-8"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_have_one_clear_message(case, task):
    files, fields, message = BAD[case]
    with pytest.raises(DataError, match=message):
        load_data(task(**files, **fields))


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load_data(Jsonl(type="jsonl", train=str(tmp_path / "a"), validation=str(tmp_path / "b")))
