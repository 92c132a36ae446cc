"""`trainer.batched`: all variants of a step in one forward are the same steps, for every method and objective; what cannot be batched is refused."""

import pytest

from loretta_core.config import cell_from_overrides
from loretta_core.errors import ConfigError
from loretta_core.methods import METHODS
from loretta_core.train.build import build_run

ENCODER = ["model=toy-bert", "task=toy_sentiment"]
RANKED = ["model=toy-llama", "task=toy_sentiment", "task.objective=causal"]
GENERATED = ["model=toy-llama", "task=toy_qa"]
TRAINER = ["trainer=zo_sgd", "trainer.steps=3", "trainer.num_directions=2", "trainer.zo_eps=1e-2", "batch_size=4"]


def losses(overrides):
    run = build_run(cell_from_overrides(overrides))
    batches = run.batches(0)
    found = [run.engine.step(next(batches)) for _ in range(3)]
    run.engine.release()
    return found


@pytest.mark.parametrize(
    ("method", "rest"),
    [*((method, ENCODER) for method in METHODS if method not in ("ft", "peft")), *((m, rest) for m in ("lora", "loretta_adp") for rest in (RANKED, GENERATED))],
)
def test_steps_are_the_same_in_one_forward(method, rest):
    overrides = [*rest, *TRAINER, f"method={method}"]
    assert losses([*overrides, "trainer.batched=true"]) == pytest.approx(losses(overrides), rel=1e-5)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["method=ft"], "ft trains every weight; use a PEFT method, or batched = false"),
        (["method=lora", "trainer.estimator=forward_gradient"], 'estimator = "forward_gradient" does not'),
        (["method=lora", "trainer.learns_from=metric"], 'learns_from = "metric" does not'),
    ],
)
def test_what_cannot_be_batched_is_refused(overrides, expected):
    with pytest.raises(ConfigError, match=expected):
        cell_from_overrides([*ENCODER, *TRAINER, "trainer.batched=true", *overrides])
