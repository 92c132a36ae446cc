"""What zeroth-order trainers keep, in numbers for every trained one."""

import pytest

from loretta_core.config import cell_from_overrides
from loretta_core.plan.parts.zo_state import zo_state_bytes
from loretta_core.plan.sizing import size


@pytest.mark.parametrize(
    ("method", "trainer", "numbers"),
    [
        ("lora", "zo_sgd", 0),
        ("lora", "lozo", 0),
        ("lora", "conmezo", 1),
        ("lora", "zo_adam", 3),
        ("lora", "subzero", 1),
        ("lora", "zo_muon", 0.5),
        ("loretta_adp", "subzero", 0),
    ],
)
def test_numbers_for_every_trained_one(method, trainer, numbers):
    cell = cell_from_overrides(["model=toy-bert", "task=toy_sentiment", f"method={method}", f"trainer={trainer}"])
    shapes = size(cell, tokens=16, evaluation_tokens=16).shapes
    assert zo_state_bytes(cell, shapes.block, trainable=shapes.trainable, bf16=False) == int(4 * numbers * shapes.trainable)


def test_bases_of_every_matrix_follow_the_rank():
    found = []
    for settings in (["trainer=subzero", "trainer.rank=4"], ["trainer=subzero", "trainer.rank=8"], ["trainer=zo_muon", "trainer.rank=8"]):
        cell = cell_from_overrides(["model=toy-bert", "task=toy_sentiment", "method=ft", *settings])
        shapes = size(cell, tokens=16, evaluation_tokens=16).shapes
        found.append(zo_state_bytes(cell, shapes.block, trainable=shapes.trainable, bf16=False))
    assert found[1] == 2 * found[0] > found[2] > 0
