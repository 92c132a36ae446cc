"""Published tasks: sources, columns, protocols, bad rows."""

import json
import socket
from typing import get_args

import pyarrow
import pyarrow.parquet
import pytest

from loretta_core.config.task import Decoder, Glue, Intents, Maths, Mmlu
from loretta_core.errors import DataError
from loretta_core.tasks.build import load_data
from loretta_core.tasks.data.benchmarks import BENCHMARKS
from loretta_core.tasks.data.mezo_prompts import PROMPTS
from loretta_core.tasks.data.official.layouts import LAYOUTS
from loretta_core.tasks.data.templates import fill


def items(rows: int, name: str = "row") -> list[dict]:
    return [{"sentence": f"{name} {index}", "label": index % 2, "idx": index} for index in range(rows)]


def write(directory, train, validation):
    for split, rows in (("train", train), ("validation", validation)):
        (directory / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_the_config_and_the_tables_name_the_same_tasks():
    glue, decoder = (set(get_args(cls.model_fields["type"].annotation)) for cls in (Glue, Decoder))
    named = {name for cls in (Maths, Mmlu, Intents) for name in get_args(cls.model_fields["type"].annotation)}
    assert glue | decoder | named == set(BENCHMARKS) == set(LAYOUTS)
    assert decoder | {"sst2", "rte"} == set(PROMPTS)
    for name in glue:
        benchmark = BENCHMARKS[name]
        assert Glue(type=name).outputs == (len(benchmark.labels) or 1)
        assert "{" not in fill(benchmark.template, dict.fromkeys((*benchmark.text, "mask"), ""))
        assert len(benchmark.verbalizer) == (len(benchmark.labels) or 2)


def texts(rows):
    return {row.text["sentence"] for row in rows}


def test_low_data_is_1000_500_1000_without_overlap_and_by_seed(tmp_path):
    write(tmp_path, items(2000, "train"), items(1200, "held"))
    first, again, other = (load_data(Glue(type="sst2", path=str(tmp_path), data_seed=seed)) for seed in (0, 0, 1))
    assert [len(first.train), len(first.validation), len(first.test)] == [1000, 500, 1000]
    assert not texts(first.train) & texts(first.validation)
    assert all(text.startswith("held") for text in texts(first.test))
    assert first.inputs_sha256 == again.inputs_sha256 != other.inputs_sha256
    assert first.notes == ()


@pytest.mark.parametrize(("rows", "train", "validation"), [(250, 150, 100), (400, 300, 100), (554, 454, 100), (10, 8, 2)])
def test_small_sets_keep_their_training_rows_and_say_so(tmp_path, rows, train, validation):
    write(tmp_path, items(rows), items(56))
    data = load_data(Glue(type="sst2", path=str(tmp_path)))
    assert [len(data.train), len(data.validation), len(data.test)] == [train, validation, 56]
    assert f"sst2 has {rows} training rows, fewer than the 1500 asked for: {train} train" in data.notes[0]


def test_k_shot_is_balanced(tmp_path):
    write(tmp_path, [*items(100), *({"sentence": f"more {n}", "label": 1} for n in range(300))], items(20))
    data = load_data(Glue(type="sst2", path=str(tmp_path), protocol="k_shot", shots=16))
    for split in (data.train, data.validation):
        assert [sum(row.label == label for row in split) for label in (0, 1)] == [16, 16]
    assert not texts(data.train) & texts(data.validation)
    with pytest.raises(DataError, match="label 'negative' has 50 training rows; shots = 512 needs 1024"):
        load_data(Glue(type="sst2", path=str(tmp_path), protocol="k_shot", shots=512))


def test_full_keeps_everything(tmp_path):
    write(tmp_path, items(3000), items(1500))
    data = load_data(Glue(type="sst2", path=str(tmp_path), protocol="full", test_rows=None))
    assert [len(data.train), len(data.validation), len(data.test)] == [2500, 500, 1500]


def test_csv_tsv_parquet_and_a_hub_snapshot_give_the_same_rows(tmp_path):
    rows = items(10)
    digests = set()
    for kind in ("jsonl", "csv", "tsv", "parquet", "snapshot"):
        directory = tmp_path / kind
        (directory / "sst2").mkdir(parents=True)
        for split in ("train", "validation"):
            if kind == "jsonl":
                (directory / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
            elif kind in ("csv", "tsv"):
                cut = "," if kind == "csv" else "\t"
                lines = [cut.join(["sentence", "label", "idx"]), *(cut.join(map(str, row.values())) for row in rows)]
                (directory / f"{split}.{kind}").write_text("\n".join(lines))
            else:
                name = f"{split}.parquet" if kind == "parquet" else f"sst2/{split}-00000-of-00001.parquet"
                pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), directory / name)
        digests.add(load_data(Glue(type="sst2", path=str(directory))).inputs_sha256)
    assert len(digests) == 1


def test_columns_may_have_other_names(tmp_path):
    rows = [{"text": row["sentence"], "gold": row["label"]} for row in items(10)]
    write(tmp_path, rows, rows)
    data = load_data(Glue(type="sst2", path=str(tmp_path), columns={"sentence": "text", "label": "gold"}))
    assert {row.label for row in data.train} == {0, 1}
    with pytest.raises(DataError, match=r"task.columns names sentense; the columns of sst2 are sentence"):
        load_data(Glue(type="sst2", path=str(tmp_path), columns={"sentense": "text"}))


BAD = {
    "label": ([*items(3), {"sentence": "x", "label": 2}], r"train.jsonl:4: label 2, expected one of 0 negative, 1 positive"),
    "unlabelled": ([*items(3), {"sentence": "x", "label": -1}], r"train.jsonl:4: label -1"),
    "empty": ([*items(3), {"sentence": " ", "label": 1}], r"train.jsonl:4: column 'sentence' is an empty cell"),
    "column": ([{"text": "x", "label": 1}], r"train.jsonl:1: no column 'sentence'; columns there: text, label"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_have_a_place(case, tmp_path):
    rows, message = BAD[case]
    write(tmp_path, rows, items(5))
    with pytest.raises(DataError, match=message):
        load_data(Glue(type="sst2", path=str(tmp_path)))


def test_a_missing_dataset_names_the_command():
    with pytest.raises(DataError, match=r"hf download --repo-type dataset nyu-mll/glue"):
        load_data(Glue(type="sst2"))


def test_offline_means_that_nothing_is_asked(monkeypatch):
    """tasks/conftest.py sets HF_HUB_OFFLINE before anything is imported, as a user's shell does."""

    def refuse(*address):
        raise AssertionError(f"a connection was attempted: {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(DataError, match=r"then set task.path = DIR"):
        load_data(Decoder(type="drop"))


def test_a_missing_directory_and_split(tmp_path):
    with pytest.raises(DataError, match="no such directory"):
        load_data(Glue(type="sst2", path=str(tmp_path / "none")))
    with pytest.raises(DataError, match=r"no file for the split 'train'; expected train.jsonl"):
        load_data(Glue(type="sst2", path=str(tmp_path)))
