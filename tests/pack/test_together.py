"""Cells that are computed together take the steps that they take alone, for every method, task and trainer; the others of a pack are none of their business."""

from functools import partial

import pytest
import torch

from loretta_core.adapters.build import METHODS
from loretta_core.config import cell_from_overrides
from loretta_core.pack import merged
from loretta_core.pack.together import together
from loretta_core.train import build
from loretta_core.train.build import build_run
from loretta_core.train.run import run_cell
from loretta_core.train.seat import ALONE_SEAT, Facts

FEW = ["task.train_rows=32", "task.validation_rows=20", "task.test_rows=20"]
ENCODER = ["model=toy-bert", "task=toy_sentiment", *FEW]
HEAD = [*ENCODER, "task.objective=head"]
RANKED = ["model=toy-llama", "task=toy_sentiment", "task.objective=causal", *FEW]
GENERATED = ["model=toy-llama", "task=toy_qa", *FEW]
FACTS = Facts("a-pack", 3)
PEFT_METHODS = [method for method in METHODS if method not in ("ft", "peft")]
FIRST_ORDER = [["trainer=adam", "trainer.lr=1e-3"], ["trainer=adam", "trainer.lr=1e-2", "seed=1"], ["trainer=adam", "trainer.lr=1e-4", "seed=2"]]
ZEROTH_ORDER = [
    ["trainer=zo_sgd", "trainer.lr=1e-3", "trainer.zo_eps=1e-2"],
    ["trainer=zo_adam", "trainer.lr=1e-3", "trainer.zo_eps=1e-3", "trainer.num_directions=3", "seed=1"],
    ["trainer=zo_sgd", "trainer.lr=1e-4", "trainer.zo_eps=1e-2", "trainer.estimator=one_sided"],
]


def losses(overrides, seat=ALONE_SEAT, *, steps=2):
    run = build_run(cell_from_overrides([*overrides, "batch_size=4"]), seat=seat)
    batches = run.batches(0)
    found = [run.learner.step(next(batches)) for _ in range(steps)]
    run.learner.release()
    return found


def packed(cells):
    found = together([partial(losses, cell) for cell in cells], facts=FACTS)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


CASES = [(method, ENCODER) for method in PEFT_METHODS] + [("lora", HEAD), ("loretta_adp", RANKED), ("lora", GENERATED), ("prefix", RANKED)]


@pytest.mark.integration
@pytest.mark.parametrize("trainers", [FIRST_ORDER[:2], ZEROTH_ORDER[:2]], ids=["first", "zeroth"])
@pytest.mark.parametrize(("method", "rest"), CASES)
def test_steps_are_those_of_cells_alone(method, rest, trainers, caplog):
    cells = [[*rest, f"method={method}", *trainer] for trainer in trainers]
    for together_, alone in zip(packed(cells), map(losses, cells), strict=True):
        assert together_[0] == pytest.approx(alone[0], rel=1e-5)
        assert together_ == pytest.approx(alone, rel=1e-3)  # a zeroth-order step divides the rounding of a loss by ε
    assert "one by one" not in caplog.text


@pytest.mark.parametrize("trainers", [FIRST_ORDER, ZEROTH_ORDER], ids=["first", "zeroth"])
def test_a_forward_is_no_larger_than_allowed(trainers, monkeypatch):
    cells = [[*ENCODER, "method=lora", *trainer] for trainer in trainers]
    whole = packed(cells)
    rows = []
    monkeypatch.setattr(merged._Holder, "forward", _counting(merged._Holder.forward, rows))
    found = together([partial(losses, cell) for cell in cells], facts=FACTS, most_bytes=1)
    variants = len(rows)
    rows.clear()
    packed(cells)
    assert variants > 2 * len(rows)  # one at a time, and all at once
    for one, other in zip(found, whole, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def _counting(forward, rows):
    def counted(self, batch):
        rows.append(len(batch))
        return forward(self, batch)

    return counted


@pytest.fixture
def fp64(monkeypatch):
    """Everything that is fp32 in a cell is computed in fp64."""
    apply_method = build.apply_method
    monkeypatch.setitem(build._DTYPES, "fp32", torch.float64)
    monkeypatch.setattr(build, "apply_method", lambda *arguments, **named: apply_method(*arguments, **named).double())
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


@pytest.mark.integration
@pytest.mark.parametrize("trainers", [FIRST_ORDER, ZEROTH_ORDER], ids=["first", "zeroth"])
def test_whole_curves_are_those_of_cells_alone(trainers, tmp_path, fp64):
    cells = [cell_from_overrides([*ENCODER, "method=loretta_adp", *trainer, "trainer.steps=12", "trainer.eval_every=4"]) for trainer in trainers]
    alone = [run_cell(cell, directory=tmp_path / f"alone{index}") for index, cell in enumerate(cells)]
    packs = together([partial(_run, cell, tmp_path / f"packed{index}") for index, cell in enumerate(cells)], facts=FACTS)
    for one, other in zip(packs, alone, strict=True):
        for name, points in other.curves.items():
            steps, values = zip(*points, strict=True)
            assert [step for step, _ in one.curves[name]] == list(steps)
            assert [value for _, value in one.curves[name]] == pytest.approx(values, rel=1e-9)
        assert (one.best_step, one.score, one.inputs_sha256) == (other.best_step, other.score, other.inputs_sha256)
        assert (one.pack_id, one.pack_cells, other.pack_id) == ("a-pack", 3, None)


def _run(cell, directory, seat):
    return run_cell(cell, directory=directory, seat=seat)
