"""What a tracking store is told of a cell: settings, numbers, tags, data sets."""

import json

import pytest

from jobs.tracking.facts.cell_facts import data_sets, environment_tags, numbers, params, result_tags
from loretta_core.config import CellConfig
from loretta_core.store.records import DataFacts, SplitFacts
from tests.jobs.synthetic import finished_record

FACTS = DataFacts(splits={name: SplitFacts(rows=rows, sha256=name[0] * 64) for name, rows in (("train", 90), ("validation", 10))}, columns=["text"])
FILES = {"type": "jsonl", "train": "a.jsonl", "validation": "b.jsonl"}


def cell_of(task) -> CellConfig:
    return CellConfig.model_validate(
        {"model": {"type": "pretrained", "name": "toy-bert"}, "task": task, "method": {"type": "lora"}, "trainer": {"type": "adam", "lr": 1e-3}}
    )


def test_settings_have_the_names_of_a_sweep_file_and_unset_ones_are_absent(cell):
    known = params(cell("trainer.lr=1e-3", "method.r=8"))
    assert (known["trainer.lr"], known["method.r"], known["method.type"]) == ("0.001", "8", "lora")
    assert "None" not in known.values()
    assert numbers(cell("trainer.lr=1e-3", "method.r=8")).items() >= {"trainer.lr": 1e-3, "method.r": 8.0, "batch_size": 16.0}.items()
    assert numbers(cell()).keys() <= params(cell()).keys()


@pytest.mark.parametrize(("commit", "said"), [("abc", ("abc", "false")), ("abc-dirty", ("abc", "true"))])
def test_the_environment_has_the_names_of_mlflow(commit, said, cell):
    record = finished_record(cell()).model_copy(
        update={"environment": {"git_commit": commit, "host": "h", "device": "d", "torch": "2", "ray": "not installed"}}
    )
    tags = environment_tags(record)
    assert (tags["mlflow.source.git.commit"], tags["mlflow.source.git.dirty"]) == said
    assert {name: tags[name] for name in tags if not name.startswith("mlflow.")} == {"host": "h", "device": "d", "version.torch": "2"}


def test_warnings_are_said_where_there_are_any(cell):
    record = finished_record(cell())
    assert result_tags(record) == {"metric": "accuracy"}
    assert result_tags(record.model_copy(update={"warnings": ["a", "b"]}))["warnings"] == "a\nb"


@pytest.mark.parametrize(
    ("task", "kind", "source"),
    [
        ({"type": "toy_sentiment"}, "code", None),
        (FILES, "local", {"uri": "a.jsonl"}),
        ({**FILES, "train": "hf://owner/name:train[:90]"}, "hugging_face", {"path": "owner/name", "split": "train[:90]"}),
        ({"type": "sst2"}, "hugging_face", {"path": "nyu-mll/glue", "config_name": "sst2", "split": "train"}),
        ({"type": "sst2", "path": "data/sst2"}, "local", {"uri": "data/sst2"}),
    ],
)
def test_each_split_is_a_data_set_with_its_source_digest_and_size(task, kind, source):
    made = cell_of(task)
    record = finished_record(made).model_copy(update={"data": FACTS})
    train, validation = data_sets(made, record)
    assert (train.split, train.name, train.digest, train.rows) == ("train", task["type"], "t" * 32, 90)
    assert (validation.split, validation.rows) == ("validation", 10)
    assert train.source_type == kind
    if source:
        assert json.loads(train.source) == source


def test_records_of_before_name_no_data(cell):
    assert data_sets(cell(), finished_record(cell())) == []
