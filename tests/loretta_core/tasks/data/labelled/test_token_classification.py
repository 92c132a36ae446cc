"""Sentences with a tag for every word: lists, texts, and CoNLL's files."""

import json

import pytest

from loretta_core.config.task import TokenClassification
from loretta_core.errors import DataError
from loretta_core.tasks.data.labelled.token_classification import load_token_classification
from loretta_core.tasks.scoring.scorer import find_spec

CONLL = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n"
pytestmark = pytest.mark.skipif(find_spec("seqeval") is None, reason='needs scorers: pip install "loretta-on-ray[scorers]"')


def loaded(tmp_path, text, name, **settings):
    (tmp_path / name).write_text(text)
    path = str(tmp_path / name)
    splits, names, notes = load_token_classification(TokenClassification(type="token_classification", train=path, validation=path, **settings))
    return [(row.words, row.labels) for row in splits["train"]], names, notes


ROWS = [{"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]}, {"tokens": ["Peter"], "tags": ["B-PER"]}]
FORMS = {
    "lists": ("a.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS)),
    "texts": ("a.csv", "tokens,tags\nEU rejects,B-ORG O\nPeter,B-PER\n"),
    "CoNLL": ("eng.train", CONLL),
    "CoNLL with tabs": ("a.conll", CONLL.replace(" ", "\t")),
    "CoNLL as text": ("a.txt", CONLL.replace("\n", "\r\n")),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_sentences(tmp_path, form):
    name, text = FORMS[form]
    rows, names, notes = loaded(tmp_path, text, name)
    assert names == ("O", "B-ORG", "B-PER")
    assert rows == [(("EU", "rejects"), (1, 0)), (("Peter",), (2,))]
    assert "task.labels names no tags: they are O, B-ORG, B-PER" in notes


def test_numbered_tags_have_names_in_the_config(tmp_path):
    text = '{"tokens": ["EU", "x"], "ner_tags": [1, 0]}\n{"tokens": ["y"], "ner_tags": [0]}\n'
    rows, names, _ = loaded(tmp_path, text, "a.jsonl", tags="ner_tags", labels=["O", "B-ORG"])
    assert (rows[0], names) == ((("EU", "x"), (1, 0)), ("O", "B-ORG"))
    with pytest.raises(DataError, match=r'task.metric = "span_f1" reads entities from tags such as B-PER and I-PER, and the tags are 0, 1; name them'):
        loaded(tmp_path, text, "a.jsonl", tags="ner_tags", metric="span_f1")
    assert loaded(tmp_path, text, "a.jsonl", tags="ner_tags")[1] == ("0", "1")


def test_what_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match=r"a.jsonl:1: 2 words and 1 tags"):
        loaded(tmp_path, '{"tokens": ["a", "b"], "tags": ["O"]}\n' * 2, "a.jsonl")
    with pytest.raises(DataError, match=r"a.conll:2: 'b', expected a word and its tag"):
        loaded(tmp_path, "a O\nb\n", "a.conll")
    with pytest.raises(DataError, match=r"a.conll:1: tag 'B-X', expected one of O, B-Y; name all of them in task.labels"):
        loaded(tmp_path, "a B-X\n", "a.conll", labels=["O", "B-Y"])
