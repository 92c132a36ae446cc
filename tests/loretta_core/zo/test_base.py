"""What people do to parameters between steps: freeze, unfreeze, add, replace, cast, save a part; the optimizer follows or says no."""

import io

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn import functional as F

from loretta_core.zo.optim import ZOSGD, ZerothOrder

KINDS = {
    "sgd": lambda params: ZOSGD(params, lr=0.1),
    "streamed": lambda params: ZOSGD(params, lr=0.1, streamed=True),
    "adam": lambda params: ZerothOrder(torch.optim.AdamW(params, lr=0.1)),
    "momentum": lambda params: ZerothOrder(torch.optim.SGD(params, lr=0.1, momentum=0.9)),
}


@pytest.fixture(params=KINDS)
def make(request):
    return KINDS[request.param]


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))


def loss_of(model):
    generator = torch.Generator().manual_seed(1)
    x_BI, y_B = torch.randn(32, 6, generator=generator), torch.randint(0, 2, (32,), generator=generator)
    return lambda: F.cross_entropy(model(x_BI.to(next(model.parameters()).dtype)).float(), y_B)


def copies(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def moved(model, before):
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_only_what_requires_a_gradient_trains_and_it_is_the_run_over_these_alone(make):
    ends = []
    for given in (lambda model: model.parameters(), lambda model: [parameter for parameter in model.parameters() if parameter.requires_grad]):
        model = net()
        model[0].weight.requires_grad_(False)
        model[2].bias.requires_grad_(False)
        before = copies(model)
        optimizer = make(given(model))
        for _ in range(3):
            optimizer.step(loss_of(model))
        assert moved(model, before) == {"0.bias", "2.weight"}
        ends.append(copies(model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_the_first_example_trains_the_adapter_of_a_peft_model():
    model = get_peft_model(net(), LoraConfig(r=2, target_modules=["0"])).eval()
    before = copies(model)
    optimizer = ZOSGD(model.parameters(), lr=0.1)
    optimizer.step(loss_of(model))
    assert len(optimizer.theta) == sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) == 2 * (6 + 8)
    assert moved(model, before)
    assert all("lora_" in name for name in moved(model, before))


def test_nothing_that_trains_is_refused(make):
    model = net().requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        make(model.parameters())


def test_freezing_and_unfreezing_take_effect_with_the_next_step(make):
    model = net()
    optimizer = make(model.parameters())
    optimizer.step(loss_of(model))
    model[0].weight.requires_grad_(False)
    model[0].weight.grad = torch.ones_like(model[0].weight)  # of a backward pass; a wrapped optimizer must not use it
    before = copies(model)
    for _ in range(3):
        optimizer.step(loss_of(model))
    assert moved(model, before) == {"0.bias", "2.weight", "2.bias"}
    model[0].weight.requires_grad_(True)
    optimizer.step(loss_of(model))
    assert moved(model, before) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_a_replaced_tensor_is_adopted(make):
    model = net()
    optimizer = make(model.parameters())
    optimizer.step(loss_of(model))
    for group in optimizer.param_groups:
        group["lr"] = 1e-6
    model[0].weight.data = torch.zeros_like(model[0].weight)
    model[2].weight.data = model[2].weight.data[:, :8] * 0.5
    half = model[2].weight.detach().clone()
    optimizer.step(loss_of(model))
    assert 0 < model[0].weight.abs().max() < 1e-3
    torch.testing.assert_close(model[2].weight.detach(), half, atol=1e-3, rtol=0)


def test_a_shorter_view_of_the_same_memory_is_noticed(make):
    model = net()
    optimizer = make(model.parameters())
    model[0].weight.data, model[0].bias.data, model[2].weight.data = model[0].weight.data[:5], model[0].bias.data[:5], model[2].weight.data[:, :5].contiguous()
    optimizer.step(loss_of(model))
    assert [tuple(parameter.shape) for parameter in model.parameters()] == [(5, 6), (5,), (2, 5), (2,)]


def test_a_reshaped_tensor_is_adopted(make):
    weight = nn.Parameter(torch.ones(2, 6))
    optimizer = make([weight])
    weight.data = weight.data.view(3, 4)
    optimizer.step(lambda: (weight @ torch.ones(4)).sum())
    assert weight.shape == (3, 4)
    assert not torch.equal(weight.detach(), torch.ones(3, 4))


def test_a_cast_model_stays_cast(make):
    model = net()
    optimizer = make(model.parameters())
    optimizer.step(loss_of(model))
    for dtype in (torch.bfloat16, torch.float32):
        model.to(dtype)
        before = copies(model)
        optimizer.step(loss_of(model))
        assert {parameter.dtype for parameter in model.parameters()} == {dtype}
        assert moved(model, before)


def test_fp16_is_refused_whenever_it_comes(make):
    with pytest.raises(ValueError, match="use bf16"):
        make(net().half().parameters())
    model = net()
    optimizer = make(model.parameters())
    model.half()
    with pytest.raises(ValueError, match="use bf16"):
        optimizer.step(loss_of(model))


def test_a_cast_is_noticed_though_the_address_is_the_same(make):
    weight = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimizer = make([weight])
    weight.data = weight.data.view(torch.float16)
    with pytest.raises(ValueError, match="use bf16"):
        optimizer.step(lambda: weight.float().sum())


def test_state_follows_a_cast_in_any_order():
    model = net()
    optimizer = ZerothOrder(torch.optim.AdamW(model.parameters(), lr=0.1))
    kept = {torch.float64: torch.float64, torch.float32: torch.float32, torch.bfloat16: torch.float32}
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float32):
        model.to(dtype)
        optimizer.step(loss_of(model))
        assert {optimizer.state[parameter]["exp_avg"].dtype for parameter in model.parameters()} == {kept[dtype]}


def test_parameters_that_share_their_memory_are_refused(make):
    weight = nn.Parameter(torch.ones(4, 2))
    with pytest.raises(ValueError, match=r"share their memory: tie them as one parameter"):
        make([weight, nn.Parameter(weight.data)])


def test_a_group_added_later_takes_part(make):
    model = net()
    optimizer = make(model[0].parameters())
    optimizer.step(loss_of(model))
    before = copies(model)
    optimizer.add_param_group({"params": list(model[2].parameters()), "lr": 0.05})
    optimizer.step(loss_of(model))
    assert moved(model, before) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert {group["steps_taken"] for group in optimizer.param_groups} == {2}


def test_a_group_added_to_the_wrapped_optimizer_takes_part():
    model = net()
    inner = torch.optim.SGD(model[0].parameters(), lr=0.1)
    optimizer = ZerothOrder(inner)
    inner.add_param_group({"params": list(model[2].parameters())})
    before = copies(model)
    optimizer.step(loss_of(model))
    assert len(moved(model, before)) == 4


def test_a_probe_of_other_parameters_is_not_an_update():
    model = net()
    optimizer = ZOSGD(model.parameters(), lr=0.1)
    optimizer.probe(loss_of(model))
    model[0].weight.requires_grad_(False)
    with pytest.raises(ValueError, match="a probe"):
        optimizer.step()


def test_a_part_of_a_model_is_saved_alone():
    model = nn.Sequential(nn.Linear(300, 300), nn.Linear(8, 8))
    optimizer = ZOSGD(model.parameters(), lr=1e-3)
    theta_P = optimizer.theta
    file = io.BytesIO()
    torch.save(model[1].state_dict(), file)
    assert len(file.getvalue()) < 10_000
    model[1].bias.data.fill_(2.0)
    assert theta_P[-8:].eq(2.0).all()  # and yet it is one buffer


def test_scalars_and_empty_parameters_have_a_place(make):
    scale, nothing = nn.Parameter(torch.tensor(1.5)), nn.Parameter(torch.empty(0, 3))
    optimizer = make([scale, nothing])
    optimizer.step(lambda: (scale * 2 + nothing.sum()).square())
    assert scale.shape == ()
    assert scale.item() != 1.5


@pytest.mark.parametrize("kind", ["sgd", "streamed"])
def test_a_compiled_model_trains_as_the_plain_one(kind):
    ends = []
    for compile_it in (False, True):
        model = net()
        called = torch.compile(model, backend="eager") if compile_it else model
        optimizer, loss = KINDS[kind](model.parameters()), loss_of(model)
        x_BI = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
        ends.append([optimizer.step(lambda called=called, loss=loss, x_BI=x_BI: loss() + called(x_BI).square().mean()) for _ in range(3)])
    assert ends[0] == pytest.approx(ends[1], rel=1e-6)
