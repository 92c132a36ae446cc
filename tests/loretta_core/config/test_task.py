"""Settings of a task that do not go together are refused before anything is read."""

import pytest
from pydantic import TypeAdapter, ValidationError

from loretta_core.config.metrics import METRICS
from loretta_core.config.task import Decoder, Glue, Jsonl, TaskConfig

FILES = {"type": "jsonl", "train": "a.csv", "validation": "b.csv"}
WRITTEN = {**FILES, "objective": "causal", "template": "{text}", "answer": "out"}
BAD = {
    "numbers of classes": ({**FILES, "metric": "pearson"}, 'metric = "pearson" compares numbers, and this task has classes; use one of accuracy, f1'),
    "texts of classes": ({**FILES, "metric": "squad_f1"}, 'metric = "squad_f1" compares written answers, and this task has classes'),
    "classes of numbers": ({**FILES, "regression": True, "metric": "auc"}, "use one of pearson, spearman, pearson_spearman, mse, mae"),
    "classes of texts": ({**WRITTEN, "metric": "accuracy"}, "use one of exact_match, squad_em"),
    "classes of stsb": ({"type": "stsb", "metric": "f1"}, 'metric = "f1" compares classes, and this task has numbers'),
    "texts of sst2": ({"type": "sst2", "metric": "exact_match"}, "this task has classes"),
    "classes of squad": ({"type": "squad", "metric": "accuracy"}, "this task has written answers"),
    "an extractor of nothing": ({**WRITTEN, "metric": "loss", "extract": "json"}, 'and metric = "loss" has none written'),
    "no text": ({**WRITTEN, "text": []}, "`text` names no column"),
    "a stop without an answer": ({**FILES, "stop": ["x"]}, "`stop` is about written answers"),
    "an extractor without an answer": ({**FILES, "extract": "json"}, "`extract` is about written answers"),
    "a pattern that is missing": ({**WRITTEN, "extract": "regex"}, "`extract_pattern` belongs to extract = regex and after, and extract is regex"),
    "a pattern too many": ({**WRITTEN, "extract": "json", "extract_pattern": "x"}, "and extract is json"),
    "a pattern that is none": ({**WRITTEN, "extract": "regex", "extract_pattern": "("}, "is no regular expression"),
    "case of SQuAD": ({**WRITTEN, "ignore_case": True}, 'are settings of metric = "exact_match", and the metric is squad_f1'),
    "one label": ({**FILES, "labels": ["a"]}, "at least 2 items"),
    "no file": ({**FILES, "train": []}, "`train` names no file"),
    "a column twice": ({**FILES, "text": ["a", "a"]}, "`text` names a column twice: a, a"),
    "an optional column that is none": ({**FILES, "optional": ["inptu"]}, "`optional` names 'inptu', which is no column of `text`: text"),
    "a stop that is empty": ({**WRITTEN, "stop": [""]}, "at least 1 character"),
    "a marker that is empty": ({**WRITTEN, "extract": "after", "extract_pattern": ""}, "at least 1 character"),
    "a part that does not end": ({**WRITTEN, "template": "{text}{#text}"}, "template: {#text} belongs to no part"),
    "a part of no column": ({**WRITTEN, "template": "{text}{#inptu}x{/inptu}"}, "template: {#inptu} belongs to no part"),
    "a class without a metric": ({**FILES, "positive_label": "a"}, "and the metric is accuracy"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_go_together(case):
    given, message = BAD[case]
    with pytest.raises(ValidationError) as error:
        TypeAdapter(TaskConfig).validate_python(given)
    assert message in str(error.value)


def test_every_metric_fits_some_task():
    tasks = {"classes": FILES, "number": {**FILES, "regression": True}, "text": WRITTEN}
    for name, (kinds, _) in METRICS.items():
        for kind in tasks.keys() & {*kinds}:
            assert Jsonl.model_validate({**tasks[kind], "metric": name}).resolved_metric == name
    assert Decoder(type="record", metric="squad_f1").metric == "squad_f1"


def test_defaults():
    assert Jsonl.model_validate(WRITTEN).resolved_metric == "squad_f1"
    assert Jsonl.model_validate({**WRITTEN, "extract": "last_number"}).resolved_metric == "exact_match"
    assert [Glue(type=name).length for name in ("sst2", "rte", "mnli", "mnli_mm", "snli")] == [128, 256, 256, 256, 256]
    assert [Decoder(type="squad").meaning, Jsonl.model_validate(WRITTEN).meaning, Jsonl.model_validate(FILES).meaning] == [1, 2, 1]
    assert [Glue(type="rte", max_length=128).meaning, Glue(type="rte").meaning, Glue(type="sst2").meaning, Glue(type="rte", objective="causal").meaning] == [
        1,
        2,
        1,
        1,
    ]
