"""Two workers give the run of one: the same curve, the same score, one set of files. Two real processes over gloo."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from loretta_core.config import cell_from_overrides
from loretta_core.errors import CellFailed, ConfigError
from loretta_core.train import checkpoint
from loretta_core.train.replay_step import restore_step
from loretta_core.train.run import run_cell
from loretta_core.train.workers import Workers, gradient_buckets, workers_of
from tests.loretta_core.train.group import run_workers

SMALL = ["model=toy-bert", "task=toy_sentiment", "task.train_rows=64", "task.validation_rows=40", "task.test_rows=70", "trainer.eval_every=10"]
FIRST = ["trainer=adam", "trainer.steps=20", "trainer.lr=2e-3"]
CELLS = {
    "lora": ["method=lora", *FIRST],
    "ft": ["method=ft", *FIRST, "engine.gradient_accumulation=2"],
    "zo batch": ["method=lora", "trainer=zo_sgd", "trainer.steps=6"],
    "zo directions": ["method=loretta_adp", "trainer=zo_sgd", "trainer.steps=6", "trainer.num_directions=3", 'engine.share="directions"'],
}


def cell(name: str, *more: str):
    return cell_from_overrides([*SMALL, *CELLS[name], *more])


def run_all(rank: int, root: Path) -> dict:
    runs = {name: run_cell(cell(name, "engine.type=ddp"), directory=root / name) for name in CELLS}
    return runs | {"stopped": stopped_and_resumed(root / "stopped"), "resumed": killed_and_resumed(root / "resumed")}


class Killed(Exception):
    pass


class KillSink:
    def __init__(self, at: int) -> None:
        self.at = at

    def log(self, step, metrics):
        if step == self.at and "train_loss" in metrics:
            raise Killed

    def close(self, status, summary):
        pass


def killed_and_resumed(directory: Path):
    checkpoint.MIN_INTERVAL_S = 0.0
    placed = cell("lora", "engine.type=ddp")
    with pytest.raises(Killed):
        run_cell(placed, directory=directory, sinks=[KillSink(15)])
    return run_cell(placed, directory=directory)


def stopped_and_resumed(directory: Path):
    placed = cell("lora", "engine.type=ddp")
    with pytest.raises(Killed):
        run_cell(placed, directory=directory, stop=lambda step: Killed() if step == 13 else None)
    return run_cell(placed, directory=directory)


def plain(name: str, directory: Path):
    alone = [text for text in CELLS[name] if "share" not in text]
    return run_cell(cell_from_overrides([*SMALL, *alone]), directory=directory)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("ddp")


@pytest.fixture(scope="module")
def runs(root) -> list[dict]:
    return run_workers(run_all, 2, root)


@pytest.mark.integration
@pytest.mark.parametrize("name", CELLS)
def test_two_workers_give_the_curve_and_the_score_of_one(name, runs, tmp_path):
    one, (two, other) = plain(name, tmp_path), (part[name] for part in runs)
    assert two.cell_id == one.cell_id
    # A rounding of the loss is 1e-4 in a projected gradient; Adam divides small gradients of all weights by themselves.
    tolerance = {"zo directions": 0.0, "zo batch": 1e-3, "ft": 1e-3}.get(name, 1e-4)
    for curve in one.curves:
        assert [value for _, value in two.curves[curve]] == pytest.approx([value for _, value in one.curves[curve]], abs=tolerance)
    assert two.curves == other.curves
    own = two.digests.model_copy(update={"adapter": None})  # the first worker writes it
    assert (two.score, own) == (other.score, other.digests)
    if name == "zo directions":
        assert two.digests.weights == one.digests.weights


@pytest.mark.integration
def test_only_the_first_worker_writes(runs, root):
    lines = [json.loads(line) for line in (root / "lora" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train_loss" in line] == list(range(1, 21))
    assert sorted(path.name for path in (root / "lora").iterdir()) == ["adapter", "cell.json", "metrics.jsonl", "predictions.json", "record.json"]


@pytest.mark.integration
def test_one_process_replays_what_two_computed(runs, root, tmp_path):
    step, digest = restore_step(root / "zo directions", step=None, to=tmp_path)
    assert (step, digest) == (runs[0]["zo directions"].score.best_step, runs[0]["zo directions"].digests.weights)


@pytest.mark.integration
def test_a_killed_run_goes_on_from_its_checkpoint(runs):
    assert runs[0]["resumed"].curves == runs[1]["resumed"].curves == runs[0]["lora"].curves


@pytest.mark.integration
def test_a_stopped_run_goes_on_from_the_step_at_which_it_was_stopped(runs, root):
    assert runs[0]["stopped"].curves == runs[1]["stopped"].curves == runs[0]["lora"].curves
    lines = [json.loads(line) for line in (root / "stopped" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train_loss" in line] == list(range(1, 21))  # none of them twice


def test_a_group_of_another_size_is_not_used():
    with pytest.raises(CellFailed, match=r"engine.workers = 2, and 1 process came"):
        workers_of(cell("lora", "engine.type=ddp").engine)


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (["engine=ddp", "engine.workers=3"], "engine.workers = 3 times engine.gradient_accumulation = 1 does not divide batch_size = 16"),
        (["engine=zero", "engine.gradient_accumulation=16"], "engine.workers = 2 times engine.gradient_accumulation = 16 does not divide"),
        (["engine=ddp", "engine.workers=0"], "engine.workers = 0: input should be greater than or equal to 1"),
        (["engine=zero", "engine.stage=4"], "engine.stage = 4: input should be 1, 2 or 3"),
        (["engine=zero", "trainer=zo_sgd"], 'engine "zero" splits the weights among workers'),
        (["engine=zero", "trainer=none"], "trainer none has none"),
        (["engine=ddp", "engine.share=directions"], "adam has no random directions"),
        (["engine=zero", "engine.offload=nvme"], '"nvme" needs a directory'),
        (["engine=zero", "engine.offload=nvme", "engine.nvme_path=/tmp"], "works at stage 3 only"),
        (["engine=zerro"], "Did you mean 'zero'?"),
        (["engine=plain", "engine.workers=2"], "unknown key"),
    ],
)
def test_what_cannot_be_placed_is_refused_with_the_reason(engine, message):
    with pytest.raises(ConfigError) as refusal:
        cell_from_overrides([*SMALL[:2], "method=lora", "trainer=adam", *engine])
    assert message in str(refusal.value)


def test_placement_is_not_identity():
    ids = {cell("lora", *engine).cell_id for engine in ([], ["engine=ddp"], ["engine=zero", "engine.stage=3"], ["engine=auto"])}
    assert len(ids) == 1


def test_rows_are_split_in_order_and_gradients_travel_in_pieces_of_one_dtype(monkeypatch):
    assert [Workers(rank, 3).part(range(6)) for rank in range(3)] == [range(2), range(2, 4), range(4, 6)]
    monkeypatch.setattr("loretta_core.train.workers.BUCKET_BYTES", 40)
    parameters = [
        nn.Parameter(torch.zeros(size, dtype=dtype)) for size, dtype in [(5, torch.float32), (5, torch.float32), (9, torch.bfloat16), (30, torch.bfloat16)]
    ]
    assert [len(bucket) for bucket in gradient_buckets(parameters)] == [2, 1, 1]
