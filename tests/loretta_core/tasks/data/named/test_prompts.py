"""GSM8K, MetaMathQA, MMLU and BANKING77 load from official files and from a hub snapshot, with the prompts of the papers."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from loretta_core.config.task import Intents, Maths, Mmlu
from loretta_core.errors import DataError
from loretta_core.tasks.build import load_data
from loretta_core.tasks.data.named.intents import BANKING77

SOLVED = [{"question": f"What is {n} + 1,000? ", "answer": f"{n} + 1,000 = <<{n}+1000={n + 1000}>>\n#### {n + 1000:,}"} for n in range(12)]


def lines(path: Path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def parquet(path: Path, rows):
    import pyarrow as arrow
    import pyarrow.parquet as format_

    path.parent.mkdir(parents=True, exist_ok=True)
    format_.write_table(arrow.Table.from_pylist(rows), path)


def gsm8k(directory: Path, form: str) -> str:
    for split in ("train", "test"):
        if form == "hub":
            parquet(directory / "main" / f"{split}-00000-of-00001.parquet", SOLVED)
        else:
            lines(directory / f"{split}.jsonl", SOLVED)
    return str(directory)


@pytest.mark.parametrize("form", ["official", "hub"])
def test_gsm8k(tmp_path, form):
    data = load_data(Maths(type="gsm8k", path=gsm8k(tmp_path, form)))
    row = min(data.test, key=lambda row: row.text["prompt"])
    assert (row.text["prompt"], row.lead, row.answers[0][-5:]) == ("Question: What is 0 + 1,000?\nAnswer:", " ", "1,000")
    assert (data.metric, len(data.test), len(data.train) + len(data.validation)) == ("number", 12, 12)
    assert data.scorer.score(["It is $1000."], [row.answers]) == 1.0


def test_a_solution_without_a_number_is_refused_with_its_place(tmp_path):
    gsm8k(tmp_path, "official")
    lines(tmp_path / "test.jsonl", [{"question": "Why?", "answer": "because"}])
    with pytest.raises(DataError, match=r'test.jsonl:1: metric = "number" finds none in the answer'):
        load_data(Maths(type="gsm8k", path=str(tmp_path)))


def test_metamathqa_is_scored_on_gsm8k_in_the_same_format(tmp_path):
    rows = [{"query": f"Add {n} and 1.", "response": f"It is {n + 1}.\nThe answer is: {n + 1}", "type": "GSM_Rephrased"} for n in range(20)]
    rows.append({"query": "long", "response": "x" * 1300, "type": "MATH_AnsAug"})
    (tmp_path / "math").mkdir()
    (tmp_path / "math" / "MetaMathQA-395K.json").write_text(json.dumps(rows))
    task = Maths(type="metamathqa", path=str(tmp_path / "math"), gsm8k_path=gsm8k(tmp_path / "gsm8k", "official"), train_rows=15, validation_rows=5)
    data = load_data(task)
    assert (len(data.train), len(data.validation), len(data.test)) == (15, 5, 12)
    assert data.train[0].text["prompt"].startswith("Question: Add ")
    assert all(row.text["prompt"].endswith(" Think step by step.\nAnswer:") for row in (*data.train, *data.test))
    assert "1 of 21 rows of MetaMathQA have more than 1300 characters and are left out" in data.notes
    with pytest.raises(ValidationError, match="`gsm8k_path` is where metamathqa finds its test rows; for gsm8k set `path`"):
        Maths(type="gsm8k", gsm8k_path="x")


def mmlu(directory: Path, form: str) -> str:
    if form == "hub":
        rows = [{"question": f"q{n}", "subject": "law", "choices": ["w", "x", "y", f"z{n}"], "answer": n % 4} for n in range(8)]
        parquet(directory / "all" / "test-00000-of-00001.parquet", rows)
        parquet(directory / "all" / "auxiliary_train-00000-of-00001.parquet", [{**row, "subject": ""} for row in rows])
        return str(directory)
    cells = "".join(f'q{n},w,x,y,"z{n}",{"ABCD"[n % 4]}\n' for n in range(8))
    for name in ("auxiliary_train/race.csv", "test/law_test.csv", "test/high_school_physics_test.csv"):
        (directory / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / "data" / name).write_text(cells)
    return str(directory)


@pytest.mark.parametrize("form", ["official", "hub"])
def test_mmlu(tmp_path, form):
    data = load_data(Mmlu(type="mmlu", path=mmlu(tmp_path, form), subjects=["law"]))
    row = next(row for row in data.test if "q5" in row.text["prompt"])
    asked = "The following are multiple choice questions (with answers) about law.\n\nq5\nA. w\nB. x\nC. y\nD. z5\nAnswer:"
    assert (row.text["prompt"], row.candidates, row.label, len(data.test)) == (asked, (" A", " B", " C", " D"), 1, 8)
    by_text = load_data(Mmlu(type="mmlu", path=str(tmp_path), by="text"))
    assert by_text.test[0].candidates[:3] == (" w", " x", " y")
    assert len(by_text.test) == (16 if form == "official" else 8)


def test_a_subject_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"task.subjects names 'physics'; subjects there: high_school_physics, law"):
        load_data(Mmlu(type="mmlu", path=mmlu(tmp_path, "official"), subjects=["physics"]))


def test_banking77(tmp_path):
    text = "text,category\n" + "".join(f"my card {n},{name}\n" for n, name in enumerate(BANKING77))
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text(text)
    data = load_data(Intents(type="banking77", path=str(tmp_path)))
    assert (data.outputs, data.metric, {row.label for row in data.test}) == (77, "accuracy", set(range(77)))
    ranked = load_data(Intents(type="banking77", path=str(tmp_path), objective="causal")).test[0]
    assert ranked.text["prompt"].endswith("\nIntent:")
    assert (len(set(ranked.candidates)), ranked.candidates[53]) == (77, " reverted card payment")


@pytest.mark.parametrize("task", [Maths(type="gsm8k", path="."), Mmlu(type="mmlu", path="."), Intents(type="banking77", path=".")])
def test_what_is_missing_is_named(tmp_path, task):
    with pytest.raises(DataError, match=r"no file for the split '(auxiliary_)?train'; expected (auxiliary_)?train.jsonl"):
        load_data(task.model_copy(update={"path": str(tmp_path)}))
