"""Cells that are computed together take the steps that they take alone, for every method, task and trainer."""

from functools import partial

import pytest

from loretta_core.config import cell_from_overrides
from loretta_core.pack import merged_forward
from loretta_core.pack.lockstep import run_in_lockstep
from loretta_core.train.run import run_cell
from tests.loretta_core.pack.cells import ENCODER, FIRST_ORDER, GENERATED, HEAD, INSTRUCTED, PACK, PEFT_METHODS, RANKED, ZEROTH_ORDER, losses, packed, run_all, same_curves

CASES = [(method, ENCODER) for method in PEFT_METHODS] + [("lora", HEAD), ("loretta_adp", RANKED), ("lora", GENERATED), ("prefix", RANKED), ("lora", INSTRUCTED)]


@pytest.mark.integration
@pytest.mark.parametrize("trainers", [FIRST_ORDER[:2], ZEROTH_ORDER[:2]], ids=["first", "zeroth"])
@pytest.mark.parametrize(("method", "rest"), CASES)
def test_steps_are_those_of_cells_alone(method, rest, trainers, caplog):
    cells = [[*rest, f"method={method}", *trainer] for trainer in trainers]
    for merged, alone in zip(packed(cells), map(losses, cells), strict=True):
        assert merged[0] == pytest.approx(alone[0], rel=1e-5)
        assert merged == pytest.approx(alone, rel=1e-3)  # a zeroth-order step divides the rounding of a loss by ε
    assert "one by one" not in caplog.text


@pytest.mark.parametrize("trainers", [FIRST_ORDER, ZEROTH_ORDER], ids=["first", "zeroth"])
def test_a_forward_is_no_larger_than_allowed(trainers, monkeypatch):
    cells = [[*ENCODER, "method=lora", *trainer] for trainer in trainers]
    whole = packed(cells)
    rows = []
    monkeypatch.setattr(merged_forward.LossModule, "forward", _counting(merged_forward.LossModule.forward, rows))
    some = run_in_lockstep(
        [partial(losses, cell) for cell in cells], pack_info=PACK, max_bytes=2 * 4 * 4 * 21 * 128
    )  # of four rows of at most 21 tokens, 128 wide
    cut = len(rows)
    rows.clear()
    packed(cells)
    assert cut > len(rows)  # two at a time, and all at once
    for one, other in zip(some, whole, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize("trainers", [FIRST_ORDER, ZEROTH_ORDER], ids=["first", "zeroth"])
def test_where_two_variants_are_too_many_each_cell_computes_alone(trainers):
    cells = [[*ENCODER, "method=lora", *trainer] for trainer in trainers]
    assert run_in_lockstep([partial(losses, cell) for cell in cells], pack_info=PACK, max_bytes=1) == list(map(losses, cells))


def _counting(forward, rows):
    def counted(self, batch):
        rows.append(len(batch))
        return forward(self, batch)

    return counted


@pytest.mark.slow
@pytest.mark.parametrize("trainers", [FIRST_ORDER, ZEROTH_ORDER], ids=["first", "zeroth"])
def test_whole_curves_are_those_of_cells_alone(trainers, tmp_path, fp64):
    cells = [cell_from_overrides([*ENCODER, "method=loretta_adp", *trainer, "trainer.steps=12", "trainer.eval_every=4"]) for trainer in trainers]
    alone = [run_cell(cell, directory=tmp_path / f"alone{index}") for index, cell in enumerate(cells)]
    for one, other in zip(run_all(cells, tmp_path), alone, strict=True):
        assert same_curves(one, other)
        assert (one.score.best_step, one.score.value, one.digests.inputs) == (other.score.best_step, other.score.value, other.digests.inputs)
        assert (one.pack.pack_id, one.pack.cells, other.pack) == ("a-pack", 3, None)
