"""The learning rate is a function of the step."""

import pytest
import torch
from transformers.optimization import (
    get_cosine_schedule_with_warmup,
    get_cosine_with_hard_restarts_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_polynomial_decay_schedule_with_warmup,
)

from loretta_core.config.trainer import Adam
from loretta_core.train.schedule import learning_rate


def rates(**fields) -> list[float]:
    trainer = Adam(type="adam", lr=1.0, **fields)
    return [learning_rate(step, trainer=trainer, total_steps=10) for step in range(10)]


def test_constant():
    assert rates(schedule="constant") == [1.0] * 10


def test_linear_falls_to_zero_after_the_last_step():
    assert rates() == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_warm_up_comes_first():
    assert rates(warmup_ratio=0.2) == pytest.approx([0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])


def test_the_others_are_those_of_transformers():
    nobody = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)
    for name, scheduler in {
        "cosine": get_cosine_schedule_with_warmup(nobody, 2, 10),
        "cosine_with_restarts": get_cosine_with_hard_restarts_schedule_with_warmup(nobody, 2, 10, num_cycles=3),
        "polynomial": get_polynomial_decay_schedule_with_warmup(nobody, 2, 10, lr_end=0.0, power=2.0),
        "inverse_sqrt": get_inverse_sqrt_schedule(nobody, 2),
    }.items():
        ours = rates(schedule=name, warmup_ratio=0.2)
        assert ours[:2] == [0.5, 1.0]
        assert ours[2:] == pytest.approx([scheduler.lr_lambdas[0](step) for step in range(2, 10)]), name
