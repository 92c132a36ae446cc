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


MANY = [{"text": f"sentence {index}", "label": index % 2} for index in range(200)]
OTHERS = [{"text": f"another {index}", "label": index % 2} for index in range(30)]


def texts(rows):
    return [row.text["text"] for row in rows]


def test_without_a_test_file_a_fifth_of_the_training_rows_is_held_out(task):
    data = load_data(task(MANY, OTHERS))
    assert (len(data.train), len(data.validation), len(data.test), data.scored_on) == (160, 30, 40, "test")
    assert sorted(texts((*data.train, *data.test))) == sorted(row["text"] for row in MANY)
    assert data.notes == ("task.test names no file: 40 of the 200 training rows were held out as test rows, 160 train",)


def test_the_rows_that_are_held_out_are_the_same_whatever_is_drawn_to_train(task):
    tests = [texts(load_data(task(MANY, OTHERS, **fields)).test) for fields in ({}, {"data_seed": 3}, {"train_rows": 50}, {"train_rows": 200})]
    assert all(each == tests[0] for each in tests)
    drawn = load_data(task(MANY, OTHERS, train_rows=50, test_rows=15))
    assert (len(drawn.train), len(drawn.test)) == (50, 15)
    assert not set(texts(drawn.train)) & set(texts(drawn.test))


def test_no_row_is_held_out_whose_text_chooses_or_trains_elsewhere(task):
    twice = [{"text": f" Sentence  {index}", "label": index % 2} for index in range(100)]
    data = load_data(task([*MANY, *twice], [*OTHERS, *MANY[100:150]]))
    assert set(texts(data.test)) == {f"sentence {index}" for index in range(150, 200)}


def test_a_file_of_test_rows_that_chose_the_checkpoint_is_no_test_file(task, tmp_path):
    assert load_data(task(MANY, OTHERS, test=str(tmp_path / "validation.jsonl"))).scored_on == "validation"


def test_data_seed_redraws_training_and_validation_rows_only(task, tmp_path):
    (tmp_path / "test.jsonl").write_text("\n".join(json.dumps({"text": f"test {index}", "label": index % 2}) for index in range(20)))
    fields = {"test": str(tmp_path / "test.jsonl"), "train_rows": 20, "validation_rows": 10, "test_rows": 8}
    first, second = (load_data(task(MANY, OTHERS, data_seed=seed, **fields)) for seed in (0, 5))
    assert (first.test, first.test_sha256) == (second.test, second.test_sha256)
    assert first.train != second.train
    assert first.validation != second.validation
    assert first.notes == ()


def test_the_digest_sees_every_row(task):
    changed = [*ROWS[:-1], {"text": "another", "label": 1}]
    assert load_data(task()).inputs_sha256 != load_data(task(validation=changed)).inputs_sha256


BAD = {
    "missing column": ({"train": [{"txt": "a", "label": 0}]}, {}, r"train.jsonl:1: no column 'text'; columns there: txt, label"),
    "empty split": ({"validation": []}, {}, r"validation.jsonl: the split is empty"),
    "not JSON": ({"train": ["{", *ROWS]}, {}, r"train.jsonl:1: not JSON"),
    "a list": ({"train": [{}, "[1]"]}, {}, r"train.jsonl:1: no column"),
    "empty text": ({"train": [*ROWS, {"text": " ", "label": 1}]}, {}, r"train.jsonl:11: column 'text' is an empty cell"),
    "no text": ({"train": [*ROWS, {"text": None, "label": 1}]}, {}, r"train.jsonl:11: column 'text' is an empty cell"),
    "text is a number": ({"train": [*ROWS, {"text": 5, "label": 1}]}, {}, r"train.jsonl:11: column 'text' is 5"),
    "empty label": ({"validation": [{"text": "a", "label": None}]}, {}, r"validation.jsonl:1: label an empty cell"),
    "stray label": ({"validation": [{"text": "a", "label": 7}]}, {}, r"validation.jsonl:1: label 7, expected one of 0, 1"),
    "stray name": ({"train": [{"text": "a", "label": "neutral"}]}, {"labels": ["neg", "pos"]}, r"train.jsonl:1: label 'neutral', expected one of 0 neg, 1 pos"),
    "too few rows": ({}, {"train_rows": 50}, r"10 rows, and 50 are asked for"),
    "an answer that is empty": (
        {"train": [{"text": "a", "label": ""}]},
        {"objective": "causal", "template": "{text}", "answer": "label"},
        r"train.jsonl:1: .*empty cell",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_have_one_clear_message(case, task):
    files, fields, message = BAD[case]
    with pytest.raises(DataError, match=message):
        load_data(task(**files, **fields))


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load_data(Jsonl(type="jsonl", train=str(tmp_path / "a"), validation=str(tmp_path / "b")))


def test_columns_that_may_be_empty(task):
    rows = [{"ask": f"do {index}", "input": "" if index % 2 else "this"} for index in range(10)]
    rows = [{**row, "out": "done"} for row in rows]
    fields = {"text": ("ask", "input"), "answer": "out", "objective": "causal", "template": "{ask}{#input}\nInput: {input}{/input}\n"}
    data = load_data(task(rows, rows, **fields))
    assert [row.text["prompt"] for row in data.train[:2]] == ["do 0\nInput: this\n", "do 1\n"]
    assert data.notes == ("column 'input' is empty in 10 of 20 rows (task.optional says that it may be)",)
    bare = [{"ask": row["ask"], "out": "done"} for row in rows]
    assert load_data(task(bare, bare, **fields, optional=("input",))).notes == ()


def test_several_files_and_patterns(task, tmp_path):
    task(MANY[:5], OTHERS)
    (tmp_path / "part-1.csv").write_text("text,label\none,0\ntwo,1\n")
    (tmp_path / "part-2.csv").write_text("text;label\nthree;0\n")
    train = [str(tmp_path / "train.jsonl"), str(tmp_path / "part-*.csv")]
    data = load_data(Jsonl(type="jsonl", train=train, validation=str(tmp_path / "validation.jsonl")))
    assert texts(data.train) == [*(row["text"] for row in MANY[:5]), "one", "two", "three"]
    assert [row.place.rpartition("/")[2] for row in data.train[4:7]] == ["train.jsonl:5", "part-1.csv:2", "part-1.csv:3"]
    assert data.notes == (f"{tmp_path}/part-2.csv: separated by a semicolon",)
    with pytest.raises(DataError, match=r"none-\*.csv: no file matches this pattern"):
        load_data(Jsonl(type="jsonl", train=str(tmp_path / "none-*.csv"), validation=str(tmp_path / "validation.jsonl")))


def test_a_pattern_that_is_none(task, tmp_path):
    with pytest.raises(DataError, match=r"expected a file, or a pattern such as data/part-\*.jsonl"):
        load_data(task().model_copy(update={"train": str(tmp_path / "**part" / "*.csv")}))
