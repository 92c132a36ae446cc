"""A tuned classifier's own labels: its score does not depend on their order, and a head of other labels is made anew."""

import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from loretta_core.config.cell import CellConfig
from loretta_core.config.checkpoints.locate import locate
from loretta_core.config.model import Pretrained
from loretta_core.train.build import build_run

WORDS = ("dull", "bright", "cold", "warm", "flat", "rich", "stale", "fresh")
ROWS = [{"text": f"the plot was {word} .", "label": index % 2} for index, word in enumerate(WORDS)]


@pytest.fixture
def built(tmp_path):
    source = locate(Pretrained(type="pretrained", name="toy-bert"))
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))

    def build(*labels):
        directory = tmp_path / "-".join(labels)
        torch.manual_seed(3)
        tuned = AutoModelForSequenceClassification.from_pretrained(source, num_labels=len(labels), id2label=dict(enumerate(labels)))
        torch.nn.init.normal_(tuned.classifier.weight)
        tuned.save_pretrained(directory)
        AutoTokenizer.from_pretrained(source).save_pretrained(directory)
        files = {"train": str(tmp_path / "rows.jsonl"), "validation": str(tmp_path / "rows.jsonl")}
        task = {"type": "jsonl", **files, "labels": ["negative", "positive"]}
        cell = CellConfig.model_validate(
            {"model": {"type": "pretrained", "name": str(directory)}, "task": task, "method": {"type": "lora"}, "trainer": {"type": "none"}}
        )
        return build_run(cell), tuned

    return build


def test_labels_are_matched_by_name(built):
    straight, _ = built("negative", "positive")
    turned, _ = built("positive", "negative")
    first, second = (run.evaluate("validation").predictions for run in (straight, turned))
    assert second == tuple(1 - label for label in first)
    assert "which are the task's: it is kept, and matched by name" in turned.data.notes[-1]


@pytest.mark.parametrize("labels", [("glad", "sad"), ("one", "two", "three")])
def test_a_head_of_other_labels_is_made_anew(built, labels):
    run, tuned = built(*labels)
    weight = next(value for name, value in run.model.named_parameters() if "classifier" in name and name.endswith("weight"))
    assert weight.shape[0] == 2
    assert weight.std() < 0.3 < tuned.classifier.weight.std()
    assert "the head is made anew" in run.data.notes[-1]
