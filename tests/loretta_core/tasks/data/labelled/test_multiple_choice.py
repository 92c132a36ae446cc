"""Questions with choices of their own, as people's files have them."""

import json

import pytest
from pydantic import ValidationError

from loretta_core.config.task import MultipleChoice
from loretta_core.errors import DataError
from loretta_core.tasks.data.labelled.multiple_choice import load_multiple_choice

MMLU = [
    {"question": "1 + 1?", "choices": ["1", "two", "3", "4"], "answer": 1},
    {"question": "Sky?", "choices": ["red", "blue"], "answer": 0},
]
ARC = [{"question": "Sun?", "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}, "answerKey": "3"}] * 2


def task(tmp_path, rows, name="a.jsonl", **settings):
    text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / name).write_text(text)
    return MultipleChoice(type="multiple_choice", train=str(tmp_path / name), validation=str(tmp_path / name), **settings)


def rows_of(*given, **settings):
    splits, notes = load_multiple_choice(task(*given, **settings))
    return splits["train"], notes


def test_the_layout_of_mmlu_by_letter_and_by_text(tmp_path):
    (first, second), notes = rows_of(tmp_path, MMLU)
    assert first.text["prompt"] == "1 + 1?\nA. 1\nB. two\nC. 3\nD. 4\nAnswer:"
    assert (first.candidates, first.label, second.candidates) == ((" A", " B", " C", " D"), 1, (" A", " B"))
    assert "answers are the index from 0 of the right choice" in notes
    (first, second), _ = rows_of(tmp_path, MMLU, by="text", template="Q: {question}\nA: ")
    assert (first.text["prompt"], first.candidates, second.label) == ("Q: 1 + 1?\nA: ", ("1", "two", "3", "4"), 0)


@pytest.mark.parametrize(
    ("answers", "expected", "told"),
    [
        (["B", "a"], [1, 0], "letter"),
        (["two", "red"], [1, 0], "text"),
        (["2", "1"], [1, 0], None),
        ([4, 2], [3, 1], "index from 1"),
        (["(B)", "A."], [1, 0], "letter"),
    ],
)
def test_what_an_answer_is(tmp_path, answers, expected, told):
    rows = [{**row, "answer": answer} for row, answer in zip(MMLU, answers, strict=True)]
    if told is None:  # 2 and 1 are indices of the first row from 0, and of both from 1
        rows[0]["choices"] = ["one", "two"]
        told = "index from 1"
    found, notes = rows_of(tmp_path, rows)
    assert [row.label for row in found] == expected
    assert f"answers are the {told} of the right choice" in notes


def test_choices_with_labels_of_their_own_and_in_columns(tmp_path):
    (row, _), notes = rows_of(tmp_path, ARC, answer="answerKey")
    assert (row.label, row.candidates, notes) == (2, (" A", " B", " C"), ())
    text = 'q,one,two,three,right\nWho?,I,you,,A\nWhen?,now,"then, or",soon,C\n'
    (first, second), _ = rows_of(tmp_path, text, "a.csv", text=["q"], choices=["one", "two", "three"], answer="right", by="text")
    assert (first.candidates, second.candidates, second.label) == ((" I", " you"), (" now", " then, or", " soon"), 2)
    text = 'question\tchoices\tanswer\nWho?\t["I", "you"]\tyou\n' * 1
    assert rows_of(tmp_path, text, "a.tsv")[0][0].label == 1


def test_equal_choices_are_one_by_text(tmp_path):
    (row,), _ = rows_of(tmp_path, [{"question": "q", "choices": ["a", "b", "b", "c"], "answer": 2}], by="text")
    assert (row.candidates, row.label) == ((" a", " b", " c"), 1)


BAD = [
    ({"answer": "E"}, r"a.jsonl:1: the answer is 'E', which is no"),
    ({"answer": None}, r"a.jsonl:1: the answer is None"),
    ({"choices": ["one"]}, r"a.jsonl:1: choices \['one'\], expected two texts or more"),
    ({"choices": ["one", ""]}, "none of them empty"),
    ({"choices": 3}, r"column 'choices' is 3, expected a list of choices; where each has a column, list these in task.choices"),
]


@pytest.mark.parametrize(("changed", "message"), BAD)
def test_what_cannot_be_used(tmp_path, changed, message):
    with pytest.raises(DataError, match=message):
        rows_of(tmp_path, [{**MMLU[0], **changed}, MMLU[1]])


def test_two_readings_that_differ_are_asked_about(tmp_path):
    rows = [{"question": "How many?", "choices": ["1", "0"], "answer": "1"}]
    with pytest.raises(DataError, match=r"could be the index from 0 of a choice or its text; set task.answer_is"):
        rows_of(tmp_path, rows)
    assert rows_of(tmp_path, rows, answer_is="text")[0][0].label == 0


def test_settings_that_do_not_go_together(tmp_path):
    with pytest.raises(ValidationError, match=r"template '\{question\}' lacks \{choices\}"):
        task(tmp_path, MMLU, template="{question}")
    with pytest.raises(ValidationError, match='`normalize` is about the texts of choices, and by = "letter"'):
        task(tmp_path, MMLU, normalize="none")
    with pytest.raises(ValidationError, match='metric = "rougeL" compares written answers, and this task has choices of each row; use one of accuracy'):
        task(tmp_path, MMLU, metric="rougeL")
