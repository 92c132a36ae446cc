"""A population of low-rank perturbations through one forward has the losses of its members one after the other."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from loretta_core.zo.directions.dense import Dense
from loretta_core.zo.directions.low_rank import LowRank
from loretta_core.zo.optim import ZOSGD
from loretta_core.zo.population import Population
from tests.loretta_core.zo.test_variants import closure_of, tuned


def losses_of(parameters, closure, *, evaluator=None, steps=1, **settings):
    """Return the losses of the evaluations of a run, and the weights after it."""
    optimizer = ZOSGD(parameters, lr=1e-2, zo_eps=1e-2, num_directions=3, **settings)
    seen = []
    optimizer.on_step = lambda step, differences: seen.extend(differences)
    if evaluator is not None:
        optimizer.evaluator = evaluator
    found = [optimizer.step(closure) for _ in range(steps)]
    return found + seen, torch.cat([p.detach().reshape(-1) for p in parameters])


@pytest.mark.parametrize("architecture", ["bert", "llama"])
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("ft", {"directions": LowRank(rank=1, refresh_every=1)}),
        ("ft", {"directions": LowRank(rank=3), "streamed": True}),
        ("lora", {"directions": LowRank(rank=2), "estimator": "population"}),
        ("loretta_adp", {"directions": LowRank(rank=1)}),
        ("lora", {"directions": Dense()}),
    ],
)
def test_a_population_is_its_members(architecture, method, settings):
    ends = []
    for together in (False, True):
        model, parameters = tuned(architecture, method)
        ends.append(losses_of(parameters, closure_of(model), evaluator=Population(model) if together else None, steps=2, **settings))
    (serial, one), (batched, other) = ends
    assert batched == pytest.approx(serial, rel=1e-3, abs=2e-6)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_what_is_neither_a_layer_nor_a_look_up_gets_the_perturbed_matrix():
    torch.manual_seed(0)
    ends = []
    for together in (False, True):
        torch.manual_seed(0)
        model = nn.ParameterList([nn.Parameter(torch.randn(6, 5)), nn.Parameter(torch.randn(4, 5))])
        closure = lambda model=model: ((torch.ones(6) @ model[0]) * F.linear(input=torch.ones(5), weight=model[1]).sum()).square().mean()  # noqa: E731
        ends.append(losses_of(list(model), closure, evaluator=Population(model) if together else None, directions=LowRank(rank=1)))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-4)


def test_a_parameter_of_another_model_is_refused():
    optimizer = ZOSGD([nn.Parameter(torch.ones(3, 3))], directions=LowRank(rank=1))
    optimizer.evaluator = Population(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="not in the model"):
        optimizer.step(lambda: torch.zeros(()))
