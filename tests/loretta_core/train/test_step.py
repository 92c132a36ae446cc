"""Accumulating pieces of a batch gives the step of the whole batch, for both orders."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from loretta_core.tasks.base import Batch
from loretta_core.train.step import back_propagate, first_order_step, zeroth_order_step
from loretta_core.zo.optim import ZOSGD


def batch(rows: slice) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch({"input_ids": torch.randint(0, 50, (12, 4), generator=generator)[rows]}, torch.arange(12)[rows] % 2)


def weights_after_steps(order: str, pieces: list[slice]) -> torch.Tensor:
    torch.manual_seed(1)
    model = nn.Linear(4, 2)

    def loss_fn(piece: Batch):
        return F.cross_entropy(model(piece.inputs["input_ids"].float() / 50), piece.labels_B)

    for _ in range(3):
        if order == "first":
            first_order_step(
                [batch(p) for p in pieces],
                backward=partial(back_propagate, loss_fn=loss_fn),
                optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
                max_grad_norm=0.5,
            )
        else:
            zeroth_order_step([batch(p) for p in pieces], loss_fn=loss_fn, optimizer=ZOSGD(model.parameters(), lr=0.1))
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("order", ["first", "zeroth"])
@pytest.mark.parametrize("pieces", [[slice(0, 6), slice(6, 12)], [slice(0, 2), slice(2, 12)]], ids=["equal", "unequal"])
def test_pieces_add_up_to_the_whole_batch(order, pieces):
    tolerance = 1e-6 if order == "first" else 1e-3  # a rounding of 1e-7 in the loss is 1e-4 in the projected gradient at ε = 1e-3
    torch.testing.assert_close(weights_after_steps(order, pieces), weights_after_steps(order, [slice(0, 12)]), rtol=tolerance, atol=tolerance)
