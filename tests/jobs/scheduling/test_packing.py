"""Packs hold alike cells, no more than memory holds and never so many that a worker group has none; the same ones each time."""

import itertools
import json

import pytest

from jobs.scheduling.packing import MAX_AUTO_CELLS, form_packs
from jobs.scheduling.resources import Node
from loretta_core.config import cell_from_overrides

GIB = 1 << 30
NODES = [Node(cpus=2, memory_bytes=64 * GIB)]
BASE = ["model=toy-bert", "task=toy_sentiment", "method=lora", "trainer=zo_sgd", "batch_size=8"]


def cells(*axes, base=BASE):
    return [cell_from_overrides([*base, *point]) for point in itertools.product(*axes)]


def rates(count):
    return [f"trainer.lr={1e-4 * (index + 1)}" for index in range(count)]


def seeds(count):
    return [f"seed={index}" for index in range(count)]


def sizes(chosen, *, setting="auto", groups=1, nodes=NODES):
    packs = form_packs(chosen, setting=setting, groups=groups, nodes=nodes)
    assert sorted(cell.cell_id for pack in packs for cell in pack) == sorted(cell.cell_id for cell in chosen)
    return [len(pack) for pack in packs]


def test_cells_that_differ_in_numbers_of_the_trainer_are_packed_by_themselves():
    assert sizes(cells(rates(4))) == [4]
    assert sizes([*cells(rates(2)), *cells(["trainer=zo_adam", "trainer=adazeta"])]) == [4]


def test_packs_have_nearly_equal_sizes_and_keep_the_order():
    chosen = cells(rates(MAX_AUTO_CELLS + 2))
    assert sizes(chosen) == [5, 5]
    assert [cell for pack in form_packs(chosen, setting="auto", groups=1, nodes=NODES) for cell in pack] == chosen


def test_no_group_is_left_without_work():
    assert sizes(cells(rates(4)), groups=2) == [2, 2]
    assert sizes(cells(rates(3)), groups=8) == [1, 1, 1]


def test_seeds_are_packed_only_when_asked_for():
    chosen = cells(seeds(2), rates(2))
    assert sizes(chosen) == [2, 2]
    assert sizes(chosen, setting=4) == [4]
    assert sizes(chosen, setting="off") == [1, 1, 1, 1]


def test_first_order_is_packed_only_when_asked_for_and_never_with_zeroth_order():
    adam = cells(rates(2), base=[*BASE[:3], BASE[4], "trainer=adam"])
    assert sizes(adam) == [1, 1]
    assert sizes(adam, setting=2) == [2]
    assert sizes([*adam, *cells(rates(2))], setting=4) == [2, 2]


@pytest.mark.parametrize(
    "different",
    [
        ["method=ft", "trainer.zo_eps=1e-4"],
        ["method=loretta_adp"],
        ["model=toy-llama", "task.objective=causal"],
        ["task=toy_entailment"],
        ["batch_size=4"],
        ["precision=bf16"],
        ["engine=ddp", "engine.workers=2"],
        ["engine.gradient_accumulation=2"],
        ["trainer.estimator=forward_gradient"],
        ["trainer.learns_from=metric"],
        ["trainer=none"],
    ],
)
def test_others_are_computed_apart(different):
    base = [override for override in BASE if override.partition("=")[0] not in {one.partition("=")[0] for one in different}]
    assert sizes([*cells(rates(2)), cell_from_overrides([*base, *different])], setting=8) == [2, 1]


def test_cells_of_full_fine_tuning_are_never_packed():
    assert sizes(cells(rates(2), base=[*BASE[:2], "method=ft", *BASE[3:]]), setting=8) == [1, 1]


def test_memory_bounds_a_pack():
    assert max(sizes(cells(rates(8)), nodes=[Node(cpus=2, memory_bytes=GIB // 16)])) < 8


def test_nothing_is_packed_by_itself_where_memory_is_unknown():
    assert sizes(cells(rates(2)), nodes=[Node(cpus=2)]) == [1, 1]
    assert sizes(cells(rates(2)), nodes=[Node(cpus=2)], setting=2) == [2]


def test_what_does_not_pay_is_not_packed_by_itself(tmp_path):
    shape = {"model_type": "roberta", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
    (tmp_path / "config.json").write_text(json.dumps({**shape, "vocab_size": 50265, "max_position_embeddings": 514}))
    base = [f"model={tmp_path}", *BASE[1:]]
    assert sizes(cells(rates(4), base=base)) == [1, 1, 1, 1]  # a CPU is busy with arithmetic already
    assert sizes(cells(rates(4), base=base), setting=4) == [4]
    gpus = [Node(cpus=8, gpus=1, memory_bytes=64 * GIB, accelerator="H100")]
    assert sizes(cells(rates(4), base=[*base, "engine.gpus=1"]), nodes=gpus) == [4]  # a GPU waits for the host


def test_a_model_that_cannot_be_counted_is_packed_only_when_asked_for(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "mystery"}')
    chosen = cells(rates(2), base=[f"model={tmp_path}", *BASE[1:]])
    assert sizes(chosen) == [1, 1]
    assert sizes(chosen, setting=2) == [2]
