"""Official archives as they come: folders, files, columns, labels and nesting of GLUE, SuperGLUE, SNLI, SST-5, TREC, SQuAD and DROP. The texts are our own."""

import json

import pytest

from loretta_core.config.task import Decoder, Glue
from loretta_core.errors import DataError
from loretta_core.tasks.build import load_data

SENTENCES = {"premise": "It rains.", "hypothesis": "It is wet."}
PASSAGE = "Ann met Bo. @highlight\nThey talked"


def tsv(header, *rows, times=6):
    return "\n".join(["\t".join(header)] * bool(header) + ["\t".join(map(str, row)) for row in rows] * times) + "\n"


def lines(*rows, times=6):
    return "".join(json.dumps(row) + "\n" for row in rows * times)


MULTIRC = {"passage": {"text": "Tom ran.", "questions": [{"question": "Who?", "answers": [{"text": "Tom", "label": 1}, {"text": "Bo", "label": 0}], "idx": 0}]}}
RECORD = {
    "passage": {"text": PASSAGE, "entities": [{"start": 0, "end": 2}, {"start": 8, "end": 9}]},
    "qas": [{"query": "@placeholder talked", "answers": [{"start": 8, "end": 9, "text": "Bo"}], "idx": 0}],
}
WSC = {"text": "Ann told Bo she left .", "target": {"span1_index": 0, "span1_text": "Ann", "span2_index": 3, "span2_text": "she"}, "label": True}
SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Sky",
            "paragraphs": [{"context": "It is blue.", "qas": [{"id": str(n), "question": "What?", "answers": [{"text": "blue", "answer_start": 6}]}]}],
        }
        for n in range(6)
    ],
}
DROP = {
    f"p{n}": {
        "passage": "They won 3 games.",
        "qa_pairs": [
            {"question": "How many?", "answer": {"number": "3", "date": {}, "spans": []}, "validated_answers": [{"number": "", "spans": ["three", "games"]}]}
        ],
    }
    for n in range(6)
}
MRPC = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
NLI_HEADER = ("index", "promptID", "sentence1", "sentence2", "label1", "gold_label")

FILES = {
    "cola": ("CoLA", "train.tsv", "dev.tsv", tsv((), ("gj04", 1, "", "They slept."), ("gj04", 0, "*", "Slept they the.")), [1, 0]),
    "sst2": ("SST-2", "train.tsv", "dev.tsv", tsv(("sentence", "label"), ('a "fine film', 1), ("bad", 0)), [1, 0]),
    "mrpc": ("MRPC", "msr_paraphrase_train.txt", "dev.tsv", "\ufeff" + tsv(MRPC, (1, 7, 8, 'He said "no.', "No."), (0, 7, 8, "A.", "B.")), [1, 0]),
    "qqp": (
        "QQP",
        "train.tsv",
        "dev.tsv",
        tsv(("id", "question1", "question2", "is_duplicate"), (1, "Who?", "Whom?", 1), (1, "Who?", "What?", 0), (3, "cut")),
        [1, 0],
    ),
    "stsb": ("STS-B", "train.tsv", "dev.tsv", tsv(("index", "sentence1", "sentence2", "score"), (1, "A.", "B.", "3.800"), (2, "A.", "C.", "0.0")), [3.8, 0.0]),
    "mnli": (
        "MNLI",
        "train.tsv",
        "dev_matched.tsv",
        tsv(NLI_HEADER, (0, 1, "It rains.", "It is wet.", "x", "neutral"), (0, 1, "A", "B", "x", "contradiction")),
        [1, 2],
    ),
    "mnli_mm": ("MNLI", "train.tsv", "dev_mismatched.tsv", tsv(NLI_HEADER, (0, 1, "It rains.", "It is wet.", "x", "entailment")), [0]),
    "qnli": (
        "QNLI",
        "train.tsv",
        "dev.tsv",
        tsv(("index", "question", "sentence", "label"), (0, "Who?", "She.", "not_entailment"), (1, "Who?", "He.", "entailment")),
        [1, 0],
    ),
    "rte": ("RTE", "train.jsonl", "val.jsonl", lines({**SENTENCES, "label": "not_entailment", "idx": 0}, {**SENTENCES, "label": "entailment"}), [1, 0]),
    "wnli": ("WNLI", "train.tsv", "dev.tsv", tsv(("index", "sentence1", "sentence2", "label"), (0, "A.", "B.", 1), (0, "A.", "C.", 0)), [1, 0]),
    "sst5": ("SST-5", "train.csv", "test.csv", '4,a fine film\n0,"bad, bad"\n' * 6, [4, 0]),
    "snli": (
        "snli_1.0",
        "snli_1.0_train.jsonl",
        "snli_1.0_dev.jsonl",
        lines({"sentence1": "A", "sentence2": "B", "gold_label": "neutral"}, {"sentence1": "A", "sentence2": "C", "gold_label": "-"}),
        [1],
    ),
    "trec": (
        "TREC",
        "train_5500.label",
        "TREC_10.label",
        ("NUM:date When did “it” end ?\nDESC:def What is caf\xe9 ?\n".replace("“", '"').replace("”", '"') * 6).encode("latin-1"),
        [5, 2],
    ),
    "cb": ("CB", "train.jsonl", "val.jsonl", lines({**SENTENCES, "label": "neutral"}, {**SENTENCES, "label": "contradiction"}), [2, 1]),
    "boolq": (
        "BoolQ",
        "train.jsonl",
        "val.jsonl",
        lines({"question": "is it", "passage": "Sky", "label": True}, {"question": "was it", "passage": "Sky", "label": False}),
        [1, 0],
    ),
    "wsc": ("WSC", "train.jsonl", "val.jsonl", lines(WSC, {**WSC, "label": False}), [1, 0]),
    "wic": ("WiC", "train.jsonl", "val.jsonl", lines({"word": "bank", "sentence1": "A bank.", "sentence2": "Bank it.", "label": False, "version": 1.1}), [0]),
    "multirc": ("MultiRC", "train.jsonl", "val.jsonl", lines(MULTIRC), [1, 0]),
    "copa": (
        "COPA",
        "train.jsonl",
        "val.jsonl",
        lines({"premise": "He fell.", "choice1": "He slid.", "choice2": "It rained.", "question": "cause", "label": 0}),
        [0],
    ),
    "record": ("ReCoRD", "train.jsonl", "val.jsonl", lines(RECORD), [1]),
    "squad": ("SQuAD", "train-v1.1.json", "dev-v1.1.json", json.dumps(SQUAD), [("blue",)]),
    "drop": ("drop_dataset", "drop_dataset_train.json", "drop_dataset_dev.json", json.dumps(DROP), [("3", "three and games")]),
}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_official_files_load_as_they_come(name, inside, tmp_path):
    folder, train, held, content, labels = FILES[name]
    directory = tmp_path / folder
    directory.mkdir()
    for file in (train, held):
        (directory / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    path = directory if inside or folder in ("snli_1.0", "drop_dataset") else tmp_path
    task = Glue(type=name, path=str(path)) if name in Glue.model_fields["type"].annotation.__args__ else Decoder(type=name, path=str(path))
    data = load_data(task)
    assert {row.answers if not row.candidates and row.answers else row.label for row in data.test} == set(labels)
    assert all(text.strip() for row in data.test for text in row.text.values())
    if name in ("qqp", "snli"):
        assert any("have no label or an empty text and are left out" in note for note in data.notes)


def test_texts_of_official_files(tmp_path):
    def first(name):
        _, train, held, content, _ = FILES[name]
        directory = tmp_path / name
        directory.mkdir()
        for file in (train, held):
            (directory / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        task = Glue(type=name, path=str(directory)) if name in ("mrpc", "trec", "sst5") else Decoder(type=name, path=str(directory))
        return {text for row in load_data(task).test for text in row.text.values()}

    assert 'He said "no.' in first("mrpc")
    assert first("trec") == {'When did "it" end ?', "What is café ?"}
    assert "bad, bad" in first("sst5")
    assert first("multirc") == {f'Tom ran.\nQuestion: Who?\nI found this answer "{who}". Is that correct? Yes or No?\n' for who in ("Tom", "Bo")}


def test_the_trees_of_the_sentiment_treebank(tmp_path):
    for file in ("train.txt", "test.txt"):
        (tmp_path / file).write_text("(3 (2 It) (4 (2 's) (4 good)))\n(1 (2 -LRB-) (1 weak))\n" * 4)
    data = load_data(Glue(type="sst5", path=str(tmp_path)))
    assert {(row.text["text"], row.label) for row in data.test} == {("It 's good", 3), ("( weak", 1)}
    (tmp_path / "test.txt").write_text("no tree\n")
    with pytest.raises(DataError, match=r"test.txt:1: 'no tree', not of the official form of sst5"):
        load_data(Glue(type="sst5", path=str(tmp_path)))


def test_lm_bff_numbers_the_labels_of_trec_otherwise(tmp_path):
    for file in ("train.csv", "test.csv"):
        (tmp_path / file).write_text("0,What is it ?\n2,What does CIA mean ?\n" * 4)
    assert {(row.text["text"], row.label) for row in load_data(Glue(type="trec", path=str(tmp_path))).test} == {
        ("What is it ?", 2),
        ("What does CIA mean ?", 0),
    }


def test_a_broken_official_row_has_a_place(tmp_path):
    for file in ("train.jsonl", "val.jsonl"):
        (tmp_path / file).write_text(lines({"passage": {"text": "a"}, "idx": 1}))
    with pytest.raises(DataError, match=r"train.jsonl:1: looks like a row of the official files, and is not arranged as one \(KeyError: 'questions'\)"):
        load_data(Decoder(type="multirc", path=str(tmp_path)))
