"""Every task on small real copies of the public data: loads, renders, scores; the oracle gets 1, a constant the majority's share."""

from collections import Counter

import pytest

from loretta_core.config.task import Decoder, Glue
from loretta_core.tasks.build import load_data
from loretta_core.tasks.data.mezo_prompts import right_answer
from loretta_core.tasks.scoring.metrics import score
from tests.paths import DATA

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no folder {DATA}; set LORETTA_TEST_DATA to one with <task>/train.jsonl and validation.jsonl")

TASKS = {
    "cola": Glue(type="cola", path=str(DATA / "cola")),
    "sst2": Glue(type="sst2", path=str(DATA / "sst2")),
    "mrpc": Glue(type="mrpc", path=str(DATA / "mrpc")),
    "stsb": Glue(type="stsb", path=str(DATA / "stsb")),
    "mnli": Glue(type="mnli", path=str(DATA / "mnli")),
    "sst2 causal": Glue(type="sst2", objective="causal", path=str(DATA / "sst2")),
    **{name: Decoder(type=name, path=str(DATA / name)) for name in ("cb", "boolq", "copa", "multirc", "record", "squad", "drop")},
}
SIZES = {  # (train, validation, test), from the files' row counts
    "mrpc": (1000, 500, 408),
    "cb": (150, 100, 56),
    "copa": (300, 100, 100),
    "multirc": (700, 100, 399),
    "record": (172, 42, 200),
    "squad": (1000, 500, 750),
    "drop": (900, 100, 500),
    "sst2": (1000, 500, 872),
    "sst2 causal": (1000, 500, 872),
}


@pytest.fixture(scope="module")
def data():
    return {name: load_data(task) for name, task in TASKS.items()}


@pytest.mark.parametrize("name", TASKS)
def test_sizes_and_the_oracle(name, data):
    loaded = data[name]
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == SIZES.get(name, (1000, 500, 1000))
    texts = [row.answers for row in loaded.test]
    if texts[0]:
        oracle = [row.candidates[int(row.label)] if row.candidates else row.answers[0] for row in loaded.test]
        assert score(loaded.metric, oracle, texts) == 1.0
        assert score(loaded.metric, ["none of these"] * len(texts), texts) < 0.05
    else:
        labels = [row.label for row in loaded.test]
        assert score(loaded.metric, labels, labels) == pytest.approx(1.0)
        if loaded.metric == "accuracy":
            label, count = Counter(labels).most_common(1)[0]
            assert score("accuracy", [label] * len(labels), labels) == count / len(labels)


@pytest.mark.parametrize("name", TASKS)
def test_no_seed_moves_the_test_rows(name, data):
    first, second = data[name], load_data(TASKS[name].model_copy(update={"data_seed": 11}))
    assert (first.test, first.test_sha256, first.scored_on) == (second.test, second.test_sha256, "test")
    assert first.inputs_sha256 != second.inputs_sha256


@pytest.mark.parametrize(("name", "majority"), [("cb", 28 / 56), ("copa", 55 / 100), ("sst2", 444 / 872), ("multirc", 244 / 399), ("boolq", 611 / 1000)])
def test_the_known_majority_rates(name, majority, data):
    labels = [row.label for row in data[name].test]
    assert max(Counter(labels).values()) / len(labels) == majority


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.objective == "causal"])
def test_every_prompt_renders_without_a_gap(name, data):
    for row in (*data[name].train, *data[name].test):
        assert row.text["prompt"].strip()
        assert right_answer(row).strip()
        assert "@placeholder" not in right_answer(row)
