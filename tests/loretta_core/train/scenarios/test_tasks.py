"""Every kind of task from config to record: a few steps with gradients and with forward passes, and the two baselines that train nothing."""

import json

import pytest

from loretta_core.config import cell_from_overrides
from loretta_core.errors import ConfigError
from loretta_core.train.run import run_cell

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    tables = {
        "sst2": [{"sentence": f"film {n}", "label": n % 2} for n in range(20)],
        "stsb": [{"sentence1": f"film {n}", "sentence2": "a film", "label": n / 4} for n in range(20)],
        "copa": [{"premise": f"Man {n} fell.", "choice1": "He slid.", "choice2": "It rained.", "question": "cause", "label": n % 2} for n in range(20)],
        "record": [{"passage": f"P {n}", "query": "@placeholder won", "entities": ["A", "Bo", "C"], "answers": ["Bo"]} for n in range(20)],
        "squad": [{"title": "T", "context": f"It is {n}", "question": "What?", "answers": {"text": [str(n)]}} for n in range(20)],
    }
    for name, rows in tables.items():
        (directory / name).mkdir()
        for split in ("train", "validation"):
            (directory / name / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return directory


TINY = ["batch_size=4", "task.max_length=96"]
CASES = [
    ("toy-bert", "sst2", "head", "accuracy"),
    ("toy-bert", "stsb", "head", "pearson_spearman"),
    ("llama", "sst2", "causal", "accuracy"),
    ("llama", "copa", "causal", "accuracy"),
    ("llama", "record", "causal", "accuracy"),
    ("llama", "squad", "causal", "squad_f1"),
]


def cell(model, task, objective, *, llama, data, trainer, method="lora"):
    name = llama if model == "llama" else model
    steps = [] if trainer in ("none", "icl") else ["trainer.steps=2"]
    shown = ["trainer.demonstrations=2"] if trainer == "icl" else []
    fields = [f"task={task}", f"task.path={data / task}", f"task.objective={objective}", f"method={method}", f"trainer={trainer}"]
    return cell_from_overrides([f"model={name}", *fields, *steps, *shown, *TINY])


@pytest.mark.parametrize(("model", "task", "objective", "metric"), CASES)
@pytest.mark.parametrize("trainer", ["adam", "zo_sgd"])
def test_every_kind_of_task_trains_and_scores(model, task, objective, metric, trainer, llama, data, tmp_path):
    record = run_cell(cell(model, task, objective, llama=llama, data=data, trainer=trainer), directory=tmp_path)
    assert record.score.name == metric
    assert record.score.low <= record.score.value <= record.score.high
    assert record.score.rows == 20
    assert any("20 training rows, fewer than the 1500 asked for" in note for note in record.warnings)
    assert len(record.curves["train_loss"]) == 2


@pytest.mark.parametrize(("model", "task", "objective", "metric"), [case for case in CASES if case[0] == "llama"])
@pytest.mark.parametrize("trainer", ["none", "icl"])
def test_baselines_train_nothing(model, task, objective, metric, trainer, llama, data, tmp_path):
    record = run_cell(cell(model, task, objective, llama=llama, data=data, trainer=trainer), directory=tmp_path)
    assert record.score.value == record.score.initial
    assert record.cost.steps == record.cost.forwards == 0
    assert "train_loss" not in record.curves


def test_demonstrations_change_what_the_model_sees(llama, data, tmp_path):
    losses = [
        run_cell(cell("llama", "squad", "causal", llama=llama, data=data, trainer=trainer), directory=tmp_path / trainer).curves["validation_loss"]
        for trainer in ("none", "icl")
    ]
    assert losses[0] != losses[1]


def test_demonstrations_need_a_decoder(llama, data):
    with pytest.raises(ConfigError, match='trainer "icl" puts solved rows into a decoder'):
        cell("toy-bert", "sst2", "head", llama=llama, data=data, trainer="icl")


@pytest.mark.parametrize(
    ("model", "task", "objective", "metric"),
    [
        ("toy-llama", "toy_sentiment", "causal", "accuracy"),
        ("toy-llama", "toy_entailment", "causal", "accuracy"),
        ("toy-llama", "toy_qa", "causal", "squad_f1"),
        ("toy-llama", "toy_instruct", "causal", "exact_match"),
        ("toy-bert", "toy_entailment", "head", "accuracy"),
    ],
)
@pytest.mark.parametrize("trainer", ["adam", "zo_sgd"])
def test_every_generated_task_trains_and_scores(model, task, objective, metric, trainer, tmp_path):
    fields = [f"model={model}", f"task={task}", f"task.objective={objective}", "method=lora", f"trainer={trainer}"]
    small = ["trainer.steps=2", "batch_size=4", "task.train_rows=8", "task.validation_rows=4", "task.test_rows=10"]
    record = run_cell(cell_from_overrides([*fields, *small]), directory=tmp_path)
    assert (record.score.name, record.score.rows, len(record.curves["train_loss"])) == (metric, 10, 2)
