"""One cell of a pack may fail, stop early or be killed without an effect on the others."""

import time
from functools import partial

import pytest

from loretta_core.config import cell_from_overrides
from loretta_core.errors import CellFailed
from loretta_core.pack.lockstep import pack_id_of, run_in_lockstep
from loretta_core.train import checkpoint
from loretta_core.train.build import build_run
from loretta_core.train.pack_context import SOLO
from loretta_core.train.run import run_cell
from tests.loretta_core.pack.cells import ENCODER, FIRST_ORDER, HEAD, PACK, ZEROTH_ORDER, losses, packed, run_all, same_curves

LAST = 9


def cells_of(trainers):
    return [
        cell_from_overrides([*ENCODER, "method=loretta_adp", "method.adapter_dropout=0.1", *trainer, f"trainer.steps={LAST}", "trainer.eval_every=3"])
        for trainer in trainers
    ]


class StopsAt:
    """A sink that ends its cell at a step."""

    def __init__(self, step):
        self._step = step

    def log(self, step, metrics):
        if step == self._step:
            raise InterruptedError(f"stopped at {step}")

    def close(self, status, summary):
        pass


@pytest.mark.integration
@pytest.mark.parametrize("trainers", [FIRST_ORDER[:2], pytest.param(ZEROTH_ORDER[:2], marks=pytest.mark.slow)], ids=["first", "zeroth"])
def test_one_that_stops_leaves_and_the_others_do_not_notice(trainers, tmp_path, fp64):
    cells = cells_of(trainers)
    alone = [run_cell(cell, directory=tmp_path / "alone" / cell.cell_id) for cell in cells]
    order = []
    stopped, *others = run_all(cells, tmp_path, sinks=[(0, StopsAt(5))], on_result=lambda index, record: order.append(index))
    assert isinstance(stopped, InterruptedError)
    assert order == [1]
    assert all(map(same_curves, others, alone[1:]))


@pytest.mark.slow
def test_one_that_diverges_does_not_touch_the_others(tmp_path, fp64):
    cells = cells_of(FIRST_ORDER[:2])
    wild = cells[0].model_copy(update={"trainer": cells[0].trainer.model_copy(update={"lr": 1e200, "max_grad_norm": None})})
    diverged, *others = run_all([wild, *cells[1:]], tmp_path)
    assert isinstance(diverged, CellFailed)
    assert diverged.kind == "nan"
    alone = [run_cell(cell, directory=tmp_path / "alone" / cell.cell_id) for cell in cells[1:]]
    assert all(map(same_curves, others, alone))


@pytest.mark.slow
@pytest.mark.parametrize("trainers", [FIRST_ORDER[:2], ZEROTH_ORDER[:2]], ids=["first", "zeroth"])
def test_a_pack_that_was_killed_goes_on_to_the_same_end(trainers, tmp_path, fp64, monkeypatch):
    monkeypatch.setattr(checkpoint, "MIN_INTERVAL_S", 0.0)
    cells = cells_of(trainers)
    whole = run_all(cells, tmp_path / "whole")
    killed = run_all(cells, tmp_path / "killed", sinks=[(index, StopsAt(4 + 3 * index)) for index in range(2)])  # their checkpoints are of different steps
    assert all(isinstance(one, InterruptedError) for one in killed)
    assert all(map(same_curves, run_all(cells, tmp_path / "killed"), whole))


def test_what_cannot_be_merged_is_computed_one_by_one_bit_for_bit(caplog):
    encoder = ["method=ptune", "method.encoder_reparameterization_type=LSTM", "method.encoder_dropout=0.2"]  # drawn within one operation
    cells = [[*ENCODER, *encoder, *trainer] for trainer in FIRST_ORDER]
    assert packed(cells) == list(map(losses, cells))
    assert "one by one" in caplog.text


@pytest.mark.parametrize("rest", [ENCODER, HEAD], ids=["prompt", "head"])
def test_there_is_one_copy_of_the_frozen_weights(rest):
    cells = [[*rest, "method=lora", *trainer] for trainer in FIRST_ORDER]

    def storages(overrides, pack_context=SOLO):
        model = build_run(cell_from_overrides(overrides), pack_context=pack_context).model
        return {name: parameter.data_ptr() for name, parameter in model.named_parameters() if not parameter.requires_grad}, model

    (one, _), *others = run_in_lockstep([partial(storages, cell) for cell in cells], pack_info=PACK)
    fresh = {name for name in one if "original_module" in name}  # drawn with the seed, and replaced by what trains
    for other, _ in others:
        assert all(one[name] == other[name] for name in one.keys() - fresh)


def test_the_time_of_all_is_the_time_of_the_pack():
    def timed(overrides, pack_context):
        losses(overrides, pack_context)
        return pack_context.clock()

    cells = [[*ENCODER, "method=lora", *trainer] for trainer in ZEROTH_ORDER]
    started = time.perf_counter()
    shares = run_in_lockstep([partial(timed, cell) for cell in cells], pack_info=PACK)
    whole = time.perf_counter() - started
    assert all(share > 0 for share in shares)
    assert 0.9 * whole < sum(shares) <= whole


def test_a_pack_is_named_after_its_cells():
    assert pack_id_of(["b", "a"]) == pack_id_of(["a", "b"]) != pack_id_of(["a"])
