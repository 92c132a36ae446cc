"""Small cells of many kinds, and the losses of their first steps: alone, and packed."""

from functools import partial

import pytest

from loretta_core.config import cell_from_overrides
from loretta_core.methods import METHODS
from loretta_core.pack.lockstep import run_in_lockstep
from loretta_core.train.build import build_run
from loretta_core.train.pack_context import SOLO, PackInfo
from loretta_core.train.run import run_cell

PEFT_METHODS = [method for method in METHODS if method not in ("ft", "peft")]
FEW = ["task.train_rows=32", "task.validation_rows=20", "task.test_rows=20"]
ENCODER = ["model=toy-bert", "task=toy_sentiment", *FEW]
HEAD = [*ENCODER, "task.objective=head"]
RANKED = ["model=toy-llama", "task=toy_sentiment", "task.objective=causal", *FEW]
GENERATED = ["model=toy-llama", "task=toy_qa", *FEW]
INSTRUCTED = ["model=toy-llama", "task=toy_instruct", *FEW]
PACK = PackInfo(pack_id="a-pack", cells=3)
FIRST_ORDER = [["trainer=adam", "trainer.lr=1e-3"], ["trainer=adam", "trainer.lr=1e-2", "seed=1"], ["trainer=adam", "trainer.lr=1e-4", "seed=2"]]
ZEROTH_ORDER = [
    ["trainer=zo_sgd", "trainer.lr=1e-3", "trainer.zo_eps=1e-2"],
    ["trainer=zo_adam", "trainer.lr=1e-3", "trainer.zo_eps=1e-3", "trainer.num_directions=3", "seed=1"],
    ["trainer=zo_sgd", "trainer.lr=1e-4", "trainer.zo_eps=1e-2", "trainer.estimator=one_sided"],
]


def losses(overrides, pack_context=SOLO, *, steps=2):
    run = build_run(cell_from_overrides([*overrides, "batch_size=4"]), pack_context=pack_context)
    batches = run.batches(0)
    found = [run.engine.step(next(batches)) for _ in range(steps)]
    run.engine.release()
    return found


def packed(cells, function=losses):
    found = run_in_lockstep([partial(function, cell) for cell in cells], pack_info=PACK)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


def run_all(cells, directory, *, sinks=(), on_result=None):
    """Run cells in lockstep; returns their results in order."""

    def one(cell, own, pack_context):
        return run_cell(cell, directory=directory / cell.cell_id, sinks=own, pack_context=pack_context)

    return run_in_lockstep(
        [partial(one, cell, [sink] if (sink := dict(sinks).get(index)) else []) for index, cell in enumerate(cells)], pack_info=PACK, on_result=on_result
    )


def same_curves(one, other):
    for name, points in other.curves.items():
        assert [step for step, _ in one.curves[name]] == [step for step, _ in points]
        assert [value for _, value in one.curves[name]] == pytest.approx([value for _, value in points], rel=1e-9)
    return True
