"""The orthogonalised update: singular values of about 1, in the whole space as in the subspace."""

import torch
from torch import nn

from loretta_core.zo.directions.projected import Projected
from loretta_core.zo.noise import Direction
from loretta_core.zo.optim import ZOSGD
from loretta_core.zo.updates.orthogonal import Orthogonal, msign


def test_singular_values_become_about_one_and_vectors_stay():
    torch.manual_seed(0)
    for shape in ((5, 9), (9, 5)):
        matrix = torch.randn(shape)
        u, values, vt = torch.linalg.svd(msign(matrix), full_matrices=False)
        assert 0.6 < values.min() <= values.max() < 1.3
        wanted = torch.linalg.svd(matrix, full_matrices=False)
        assert torch.cosine_similarity((u @ vt).view(-1), (wanted.U @ wanted.Vh).view(-1), dim=0) > 0.99
    assert not msign(torch.zeros(3, 4)).any()


def test_in_a_subspace_it_is_that_of_the_whole_estimate():
    weight = nn.Parameter(torch.randn(8, 6))
    draws = ZOSGD([weight], directions=Projected(rank=2)).draws
    directions, weights = [Direction(0, 0, k) for k in range(3)], [0.3, -1.0, 2.0]
    step = Orthogonal(draws, directions=directions, weights=weights)
    estimate = sum(factor * draws.whole(direction).view(8, 6) for direction, factor in zip(directions, weights, strict=True))
    found = step.values(directions[0], draws.slots[0], start=0, size=48)
    torch.testing.assert_close(found.view(8, 6), msign(estimate), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(step.values(directions[0], draws.slots[0], start=7, size=11), found[7:18])
    rows = torch.tensor([5, 0])
    torch.testing.assert_close(step.rows(directions[0], draws.slots[0], rows), found.view(8, 6)[rows])
    assert torch.linalg.matrix_rank(found.view(8, 6), rtol=1e-3) == 2


def test_the_length_of_a_step_is_free_of_eps_and_of_the_loss_unit():
    ends = []
    for eps, unit in ((1e-2, 1.0), (1e-3, 1.0), (1e-2, 1e3)):
        torch.manual_seed(0)
        model = nn.Linear(6, 4).double()
        optimizer = ZOSGD(model.parameters(), lr=0.1, zo_eps=eps, num_directions=3, update="orthogonal", directions=Projected(rank=2))
        optimizer.step(lambda model=model, unit=unit: unit * model.weight.sum() + unit * model.bias.sum())
        ends.append(torch.cat([model.weight.detach().view(-1), model.bias.detach()]))
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-3)
    torch.testing.assert_close(ends[0], ends[2], rtol=0, atol=1e-3)
