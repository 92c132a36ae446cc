"""Rows with any number of labels, as people's files have them."""

import json

import pytest

from loretta_core.config.task import MultiLabel
from loretta_core.errors import DataError
from loretta_core.tasks.data.labelled.multi_label import load_multi_label


def loaded(tmp_path, text, name, **settings):
    (tmp_path / name).write_text(text)
    splits, names, notes = load_multi_label(MultiLabel(type="multi_label", train=str(tmp_path / name), validation=str(tmp_path / name), **settings))
    return [row.labels for row in splits["train"]], names, notes


FORMS = {
    "a list": ("a.jsonl", "".join(json.dumps(row) + "\n" for row in [{"text": "x", "labels": ["joy", "Fear"]}, {"text": "y", "labels": []}]), {}),
    "a text": ("a.csv", 'text,labels\nx,"joy, fear"\ny,\n', {}),
    "another delimiter": ("a.csv", "text,labels\nx,joy|fear\ny,\n", {"delimiter": "|"}),
    "JSON in a cell": ("a.tsv", 'text\tlabels\nx\t["joy", "fear"]\ny\t[]\n', {}),
    "columns": ("a.csv", "text,fear,joy\nx,1,True\ny,0,0\n", {"label": ["fear", "joy"]}),
    "numbers": ("a.jsonl", '{"text": "x", "labels": [0, 1]}\n{"text": "y", "labels": []}\n', {"labels": ["fear", "joy"]}),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_labels(tmp_path, form):
    name, text, settings = FORMS[form]
    labels, names, _ = loaded(tmp_path, text, name, **settings)
    assert labels == [(1, 1), (0, 0)]
    assert [name.casefold() for name in names] == ["fear", "joy"]


def test_what_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match=r"a.csv:2: column 'joy' is 'maybe', expected 0 or 1"):
        loaded(tmp_path, "text,fear,joy\nx,1,maybe\n", "a.csv", label=["fear", "joy"])
    with pytest.raises(DataError, match=r"a.csv:2: label 'joy', expected one of fear, anger|expected one of 0 fear, 1 anger"):
        loaded(tmp_path, "text,labels\nx,joy\n", "a.csv", labels=["fear", "anger"])
    with pytest.raises(DataError, match="no training row has a label in the column 'labels'"):
        loaded(tmp_path, "text,labels\nx,\n", "a.csv")
    with pytest.raises(DataError, match=r"column 'labels' is {'a': 1}, expected a list of labels"):
        loaded(tmp_path, '{"text": "x", "labels": {"a": 1}}\n', "a.jsonl")
