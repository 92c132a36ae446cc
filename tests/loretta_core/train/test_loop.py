"""fit() on a small regression: best parameters are kept, a killed run continues bitwise, a diverging one stops."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from loretta_core.errors import CellFailed
from loretta_core.train.checkpoint import FileCheckpointer, ModelState
from loretta_core.train.evaluate import Evaluation
from loretta_core.train.loop import fit
from loretta_core.train.state import never_stop
from loretta_core.zo.optim import ZOSGD


class Killed(Exception):
    pass


class Toy:
    """y = w·x fitted by Adam (with noise from torch's global generator, as dropout would draw) or by ZO-SGD."""

    def __init__(self, trainer: str, path, *, steps: int = 40, kill_at: int | None = None, lr: float = 0.05, min_interval_s: float = 0.0):
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.zeros(3))
        self.optimizer = torch.optim.Adam([self.weight], lr=lr) if trainer == "adam" else ZOSGD([self.weight], lr=lr)
        self.state = ModelState({"weight": self.weight}, self.optimizer)
        self.checkpointer = FileCheckpointer(path, identity="toy", min_interval_s=min_interval_s)
        self.steps, self.kill_at, self.taken = steps, kill_at, 0
        self.rows: list[tuple[int, dict]] = []

    def batches(self, first: int):
        while True:
            generator = torch.Generator().manual_seed(first)
            yield [torch.randn(8, 3, generator=generator)]
            first += 1

    def loss(self, x_BI):
        noise = torch.rand(()) * 0.01 if isinstance(self.optimizer, torch.optim.Adam) else 0.0
        return ((x_BI @ (self.weight - 1.0)) ** 2).mean() + noise

    def step(self, batches) -> float:
        if self.taken == self.kill_at:
            raise Killed
        self.taken += 1
        if isinstance(self.optimizer, ZOSGD):
            return self.optimizer.step(partial(self.loss, batches[0]))
        self.optimizer.zero_grad()
        loss = self.loss(batches[0])
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def evaluate(self) -> Evaluation:
        distance = (self.weight.detach() - 1.0).norm().item()
        return Evaluation(score=math.exp(-distance), loss=distance, predictions=())

    def log(self, step, metrics):
        self.rows.append((step, dict(metrics)))

    def close(self, status, summary):
        pass

    def fit(self, skips_allowed=0, stop=never_stop):
        return fit(
            step=self.step,
            batches=self.batches,
            total_steps=self.steps,
            set_lr=lambda step: 0.05,
            evaluate=self.evaluate,
            eval_every=10,
            state=self.state,
            checkpointer=self.checkpointer,
            sinks=[self],
            skips_allowed=skips_allowed,
            stop=stop,
        )


@pytest.mark.parametrize("trainer", ["adam", "zo_sgd"])
def test_a_killed_run_continues_to_bitwise_the_same_end(trainer, tmp_path):
    whole = Toy(trainer, tmp_path / "whole.safetensors")
    expected = whole.fit()
    with pytest.raises(Killed):
        Toy(trainer, tmp_path / "killed.safetensors", kill_at=27).fit()
    resumed = Toy(trainer, tmp_path / "killed.safetensors")
    progress = resumed.fit()
    assert resumed.taken == 20
    assert torch.equal(resumed.weight, whole.weight)
    assert progress.curves == expected.curves
    assert (progress.best_step, progress.best_score) == (expected.best_step, expected.best_score)


def at(step):
    """Stops a run after so many steps."""
    return lambda taken: Killed(f"after {taken}") if taken == step else None


@pytest.mark.parametrize("trainer", ["adam", "zo_sgd"])
@pytest.mark.parametrize("step", [0, 1, 10, 27, 39])
def test_a_run_that_is_stopped_saves_at_once_and_continues_bitwise(trainer, step, tmp_path):
    whole = Toy(trainer, tmp_path / "whole.safetensors")
    expected = whole.fit()
    stopped = Toy(trainer, tmp_path / "stopped.safetensors", min_interval_s=3600.0)
    with pytest.raises(Killed, match=f"after {step}$"):
        stopped.fit(stop=at(step))
    assert stopped.taken == step
    resumed = Toy(trainer, tmp_path / "stopped.safetensors", min_interval_s=3600.0)
    progress = resumed.fit()
    assert resumed.taken == 40 - step
    assert torch.equal(resumed.weight, whole.weight)
    assert progress.curves == expected.curves
    assert (progress.best_step, progress.best_score) == (expected.best_step, expected.best_score)
    assert stopped.rows + resumed.rows == whole.rows


def test_a_run_whose_last_step_is_taken_is_not_stopped_any_more(tmp_path):
    toy = Toy("adam", tmp_path / "c", steps=20)
    assert toy.fit(stop=at(20)).step == 20


def test_the_best_parameters_are_left_in_the_model(tmp_path):
    toy = Toy("adam", tmp_path / "c", steps=30)
    scores = iter([0.1, 0.9, 0.5, 0.9])
    kept = []

    def evaluate():
        kept.append(toy.weight.detach().clone())
        return Evaluation(score=next(scores), loss=0.0, predictions=())

    toy.evaluate = evaluate
    progress = toy.fit()
    assert (progress.best_step, progress.best_score) == (10, 0.9)
    assert torch.equal(toy.weight.detach(), kept[1])


def test_sinks_get_every_step_in_order(tmp_path):
    toy = Toy("adam", tmp_path / "c", steps=10)
    toy.fit()
    assert [step for step, metrics in toy.rows if "train_loss" in metrics] == list(range(1, 11))
    assert [step for step, metrics in toy.rows if "validation_score" in metrics] == [0, 10]


def test_a_loss_that_is_not_finite_stops_the_cell_and_says_when(tmp_path):
    toy = Toy("adam", tmp_path / "c")
    toy.loss = lambda x_BI: toy.weight.sum() * math.nan
    with pytest.raises(CellFailed, match="loss is nan at step 1 of 40") as error:
        toy.fit()
    assert error.value.kind == "nan"


@pytest.mark.parametrize(("lost", "survives"), [((3, 4, 9), True), ((3, 4, 5), False)])
def test_skipped_steps_are_survived_unless_too_many_come_in_a_row(lost, survives, tmp_path):
    toy = Toy("zo_sgd", tmp_path / "c")
    loss = toy.loss
    toy.loss = lambda x_BI: loss(x_BI) * (math.nan if toy.taken in lost else 1.0)
    if survives:
        assert [step for step, _ in toy.fit(skips_allowed=2).curves["train_loss"]] == [step for step in range(1, 41) if step not in lost]
        return
    with pytest.raises(CellFailed, match="loss is nan at step 5 of 40"):
        toy.fit(skips_allowed=2)
