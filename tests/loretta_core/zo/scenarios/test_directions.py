"""One table of all ways of drawing directions, with the updates made for them, and the laws that each keeps.

What they estimate: E[d/ε · z] on a quadratic, where two-sided differences are exact derivatives, is `B ∇L` with the B that each file's docstring names.
"""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn

from loretta_core.errors import OutputError
from loretta_core.zo.directions.base import slots_of
from loretta_core.zo.directions.cone import Cone
from loretta_core.zo.directions.curvature import Curvature
from loretta_core.zo.directions.dense import Dense
from loretta_core.zo.directions.low_rank import LowRank
from loretta_core.zo.directions.projected import Projected
from loretta_core.zo.directions.sparse import Sparse
from loretta_core.zo.directions.subspace import Subspace
from loretta_core.zo.noise import Direction
from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.replay_log import LogWriter, read_log, replay

DIRECTIONS = {
    "dense": Dense(),
    "low rank": LowRank(rank=2, refresh_every=3),
    "subspace": Subspace(rank=3, refresh_every=3),
    "projected": Projected(rank=3, refresh_every=3),
    "sparse": Sparse(sparsity=0.5),
    "sparse, random": Sparse(sparsity=0.5, mask="random"),
    "curvature": Curvature(smoothing=1e-5),
    "cone": Cone(momentum=0.5),
}
UNBIASED = {"dense", "low rank", "subspace", "projected"}
"""Over all that is drawn, bases too."""

OPTIMIZERS = {name: lambda params, draws=draws, **options: ZOSGD(params, lr=5e-3, directions=draws, **options) for name, draws in DIRECTIONS.items()} | {
    "muon": lambda params, **options: ZOSGD(params, lr=0.1, directions=Projected(rank=3, refresh_every=3), update="orthogonal", **options),
    "muon, dense": lambda params, **options: ZOSGD(params, lr=0.1, update="orthogonal", **options),
    "low rank, momentum": lambda params, **options: ZerothOrder(torch.optim.SGD(params, lr=3e-3, momentum=0.5), directions=LowRank(rank=2), **options),
}


@pytest.fixture(params=OPTIMIZERS)
def make(request):
    return OPTIMIZERS[request.param]


def model_of(dtype=torch.float32, seed=0):
    """A matrix that is looked up, one that is multiplied with, and a vector."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Embedding(7, 6), nn.Linear(6, 5)).to(dtype)
    ids = torch.tensor([[1, 4, 4, 0]])
    return model, lambda: (model(ids).float() ** 2).sum()


def weights(model):
    return torch.cat([parameter.detach().reshape(-1).float() for parameter in model.parameters()])


@pytest.mark.parametrize("name", DIRECTIONS)
def test_law_streamed_values_and_rows_are_those_of_the_whole(name):
    model, loss = model_of()
    flat = ZOSGD(model.parameters(), directions=DIRECTIONS[name], streamed=False)
    other, other_loss = model_of()
    streamed = ZOSGD(other.parameters(), directions=DIRECTIONS[name], streamed=True)
    losses = [(flat.step(loss), streamed.step(other_loss)) for _ in range(5)]
    assert [one for one, _ in losses] == pytest.approx([one for _, one in losses], rel=1e-4)
    torch.testing.assert_close(weights(model), weights(other), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_law_the_mean_estimate_is_what_the_docstring_says(name):
    """A linear loss ⟨G, W⟩: d/ε = ⟨G, z⟩ exactly, so the z's alone decide: 800 of them, each of another period where there are any."""
    torch.manual_seed(1)
    weight = nn.Parameter(torch.randn(4, 3))
    gradient = torch.randn(4, 3)
    draws = deepcopy(DIRECTIONS[name])
    optimizer = ZOSGD([weight], directions=draws)
    if name in ("curvature", "cone"):
        optimizer.step(lambda: (gradient * weight).sum() + (weight**2).sum())
    drawn = optimizer.draws
    drawn.prepare(2)
    step_of = (lambda k: 3 * k) if name in UNBIASED | {"sparse, random"} else (lambda _: 2)
    z_KP = torch.stack([drawn.whole(Direction(0, step_of(k), k)) for k in range(800)])
    found = (z_KP @ gradient.view(-1)) @ z_KP / len(z_KP)
    expected = bias(name, drawn, weight, optimizer.state[weight]) @ gradient.view(-1)
    assert (found - expected).norm() / expected.norm() < 0.3


def bias(name, drawn, weight, state):
    """B of each way of drawing."""
    size = weight.numel()
    if name == "sparse":
        return torch.diag((weight.detach().abs().view(-1) <= weight.detach().abs().median()).float())
    if name == "sparse, random":
        return 0.5 * torch.eye(size)
    if name == "curvature":
        return torch.diag(1 / state["curvature"].view(-1))
    if name == "cone":
        m = state["momentum"].view(-1)
        m = m / m.norm()
        return math.sin(drawn.angle) ** 2 * torch.eye(size) + size * math.cos(drawn.angle) ** 2 * torch.outer(m, m)
    return torch.eye(size)


@pytest.mark.parametrize("kind", [{}, {"num_directions": 2, "dtype": torch.bfloat16}], ids=str)
def test_law_a_replay_is_bitwise(make, kind, tmp_path):
    options = {name: value for name, value in kind.items() if name != "dtype"}
    model, loss = model_of(**{name: value for name, value in kind.items() if name == "dtype"})
    optimizer = make(model.parameters(), **options)
    optimizer.on_step = LogWriter(tmp_path / "log")
    for _ in range(5):
        optimizer.step(loss)
    optimizer.on_step.flush()
    again, _ = model_of(**{name: value for name, value in kind.items() if name == "dtype"})
    before = weights(again)
    replay(read_log(tmp_path / "log"), make(again.parameters(), **options))
    assert torch.equal(weights(again), weights(model))
    assert not torch.equal(weights(again), before)


def test_law_a_log_of_other_directions_is_refused(tmp_path):
    model, loss = model_of()
    optimizer = ZOSGD(model.parameters(), directions=LowRank(rank=2))
    optimizer.on_step = LogWriter(tmp_path / "log")
    optimizer.step(loss)
    optimizer.on_step.flush()
    for draws, said in ((LowRank(rank=1), "'rank': 2"), (None, "directions: ")):
        again, _ = model_of()
        with pytest.raises(OutputError, match=said):
            replay(read_log(tmp_path / "log"), ZOSGD(again.parameters(), directions=draws))


def test_law_a_step_of_rate_0_leaves_theta_bitwise(make):
    model, loss = model_of()
    before, optimizer = weights(model), make(model.parameters())
    optimizer.param_groups[0]["lr"] = 0.0
    for _ in range(4):
        optimizer.step(loss)
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_law_state_dict_continues_the_run(make, dtype):
    model, loss = model_of(dtype)
    optimizer = make(model.parameters())
    for _ in range(4):
        optimizer.step(loss)
    copy, copy_loss = model_of(dtype)
    copy.load_state_dict(model.state_dict())
    resumed = make(copy.parameters(), seed=99)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    assert resumed.update_settings == optimizer.update_settings
    for _ in range(3):
        assert optimizer.step(loss) == resumed.step(copy_loss)
    assert torch.equal(weights(model), weights(copy))


def test_law_a_run_descends(make):
    model, loss = model_of()
    optimizer = make(model.parameters(), num_directions=4)
    first = optimizer.step(loss)
    for _ in range(12):
        last = optimizer.step(loss)
    assert last < 0.9 * first


@pytest.mark.parametrize("name", ["curvature", "cone"])
def test_state_is_one_fp32_number_per_trained_one_and_is_not_for_wrapped_optimizers(name):
    model, loss = model_of(torch.bfloat16)
    optimizer = ZOSGD(model.parameters(), directions=DIRECTIONS[name])
    optimizer.step(loss)
    kept = [value for slot in optimizer.state.values() for value in slot.values()]
    assert {value.dtype for value in kept} == {torch.float32}
    assert sum(value.numel() for value in kept) == sum(parameter.numel() for parameter in model.parameters())
    with pytest.raises(ValueError, match="keep a state of their own"):
        ZerothOrder(torch.optim.AdamW(model.parameters()), directions=DIRECTIONS[name])


def test_one_object_serves_two_optimizers():
    draws = Cone()
    first, loss = model_of()
    second, other_loss = model_of(seed=1)
    alone, alone_loss = model_of()
    optimizers = [ZOSGD(first.parameters(), directions=draws), ZOSGD(second.parameters(), directions=draws), ZOSGD(alone.parameters(), directions=Cone())]
    for _ in range(3):
        for optimizer, closure in zip(optimizers, (loss, other_loss, alone_loss), strict=True):
            optimizer.step(closure)
    assert torch.equal(weights(first), weights(alone))
    assert slots_of([{"params": first.parameters()}])[0].start == 0


@pytest.mark.parametrize("estimator", ["one_sided", "forward_gradient"])
def test_curvatures_need_two_sides(estimator):
    model, _ = model_of()
    with pytest.raises(ValueError, match="second differences"):
        ZOSGD(model.parameters(), directions=Curvature(), estimator=estimator)
