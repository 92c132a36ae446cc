"""A cell that learns from the reward of what its model writes: scored as the task scores, replayed, shared, told where there is nothing to learn."""

import json

import pytest
import torch
from torch import nn

from loretta_core.config import cell_from_overrides
from loretta_core.errors import ConfigError
from loretta_core.tasks.base import Batch, Example
from loretta_core.tasks.scoring.scorer import Scorer
from loretta_core.train.build import build_run
from loretta_core.train.evaluate import reward_loss
from loretta_core.train.replay_step import restore_step
from loretta_core.train.run import run_cell
from loretta_core.train.workers import workers_of
from tests.loretta_core.train.group import run_workers

SMALL = ["model=toy-llama", "task=toy_qa", "task.train_rows=16", "task.validation_rows=4", "task.test_rows=4", "batch_size=8", "method=lora"]
ES = [
    "trainer=es",
    "trainer.num_directions=2",
    "trainer.learns_from=reward",
    "trainer.zo_eps=0.2",
    "trainer.lr=0.02",
    "trainer.steps=3",
    "trainer.eval_every=3",
]


class Parrot:
    """Writes the same to every row."""

    def __init__(self, text):
        self.text = text

    def texts(self, model, batch):
        return [self.text] * len(batch.examples)


def test_a_reward_is_what_the_scorer_of_the_task_says_of_a_text():
    rows = [Example({"input_ids": [1]}, 0, answers=answers) for answers in (("so 12",), ("so 13", "12.0"))]
    batch = Batch({}, torch.zeros(2), examples=tuple(rows))
    scorer = Scorer("exact_match", extractor="last_number")
    assert reward_loss(batch, model=nn.Identity(), writer=Parrot("it is 1 and 12"), scorer=scorer).item() == 0.0
    assert reward_loss(batch, model=nn.Identity(), writer=Parrot("13"), scorer=scorer).item() == 0.5


@pytest.mark.integration
def test_a_cell_learns_from_rewards_and_replays(tmp_path):
    record = run_cell(cell_from_overrides([*SMALL, *ES]), directory=tmp_path / "cell")
    assert record.cost.forwards == 3 * 2
    assert all(0 <= loss <= 1 for _, loss in record.curves["train_loss"])
    assert record.zeroth_order.equal_rewards == len(record.curves.get("equal_rewards", []))
    step, digest = restore_step(tmp_path / "cell", step=None, to=tmp_path / "replayed")
    assert (step, digest) == (record.score.best_step, record.digests.weights)


@pytest.mark.integration
def test_pieces_of_a_batch_have_the_rewards_of_the_batch(tmp_path):
    losses = []
    for pieces in (1, 4):
        run = build_run(cell_from_overrides([*SMALL, *ES, f"engine.gradient_accumulation={pieces}"]))
        losses.append(run.engine.step(next(run.batches(0))))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


@pytest.mark.integration
def test_rewards_that_are_all_equal_are_told_at_once(tmp_path):
    record = run_cell(cell_from_overrides([*SMALL, *ES, "trainer.zo_eps=1e-6", "batch_size=16"]), directory=tmp_path)
    assert record.zeroth_order.equal_rewards == 3
    assert any("in 3 of 3 steps all rewards were equal" in note for note in record.warnings)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "equal_rewards" in line] == [1, 2, 3]


def two_steps(rank, *settings):
    cell = cell_from_overrides([*SMALL, *ES, *settings])
    run = build_run(cell, workers=workers_of(cell.engine))
    batches = run.batches(0)
    return [run.engine.step(next(batches)) for _ in range(2)], run.weights_sha256


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize("share", ["batch", "directions"])
def test_two_workers_share_rewards(share):
    (losses, weights), (others, same) = run_workers(two_steps, 2, "engine=ddp", f"engine.share={share}")
    alone, of_one = two_steps(0)
    assert losses == pytest.approx(alone, abs=1e-6)
    assert (others, same) == (losses, weights)
    assert share == "batch" or weights == of_one


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["task=toy_sentiment", "task.objective=causal", *ES], "scores what the model writes, and toy_sentiment chooses among answers"),
        (["trainer=adam", "trainer.learns_from=reward"], "It is a setting of zo_sgd, "),
        ([*ES, "trainer.batched=true"], 'learns_from = "reward" does not'),
        (["trainer=zo_sgd", "trainer.estimator=population"], "leaves nothing to compare"),
        ([*ES, "trainer.estimator=forward_gradient"], 'learns_from = "reward" has no derivative'),
    ],
)
def test_what_cannot_be_rewarded_is_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        cell_from_overrides([*SMALL, *settings])
