"""Blocks that are computed again give the same weights bit by bit, dropout included, and take the memory that the planner says."""

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from loretta_core.config import cell_from_overrides
from loretta_core.errors import ConfigError, ModelError
from loretta_core.train.build import build_run
from loretta_core.train.memory.activation_checkpointing import checkpoint_blocks
from tests.loretta_core.plan.test_memory import SMALL, predicted_and_live

pytestmark = pytest.mark.integration


def cell(*settings):
    return cell_from_overrides([*SMALL, "trainer=adam", *settings])


def after_two_steps(*settings):
    run = build_run(cell("batch_size=8", *settings))
    batches = run.batches(0)
    torch.manual_seed(1)
    losses = [run.engine.step(next(batches)) for _ in range(2)]
    return losses, run.engine.state.copy_trainable()


@pytest.mark.parametrize("method", ["loretta_adp", *(pytest.param(method, marks=pytest.mark.slow) for method in ("lora", "loretta_rep", "ft", "prompt"))])
def test_the_same_bits(method):
    losses, weights = after_two_steps(f"method={method}")
    for every in (1, 2):
        again, same = after_two_steps(f"method={method}", "engine.type=plain", f"engine.activation_checkpointing={every}")
        assert again == losses
        assert all(torch.equal(weights[name], value) for name, value in same.items())


@pytest.mark.parametrize(
    ("method", "every"), [("lora", 1), pytest.param("loretta_adp", 2, marks=pytest.mark.slow), pytest.param("ft", 1, marks=pytest.mark.slow)]
)
def test_memory_is_as_planned(method, every):
    the_cell = cell(f"method={method}", "engine.type=plain", f"engine.activation_checkpointing={every}")
    predicted, live = predicted_and_live(the_cell)
    assert predicted == pytest.approx(live, rel=0.1)
    assert predicted < 0.8 * predicted_and_live(cell(f"method={method}"))[0]


def test_what_keeps_no_activations_is_told():
    with pytest.raises(ConfigError, match=r"zo_sgd has no backward pass and keeps no activations"):
        cell_from_overrides([*SMALL, "method=lora", "trainer=zo_sgd", "engine.type=plain", "engine.activation_checkpointing=1"])
    with pytest.raises(ConfigError, match="prefix tuning, whose keys and values a block cannot compute again"):
        cell("method=prefix", "engine.type=plain", "engine.activation_checkpointing=1")


def test_an_architecture_whose_blocks_cannot():
    model = BertForMaskedLM(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9))
    model.supports_gradient_checkpointing = False
    with pytest.raises(ModelError, match="the blocks of bert cannot be computed again"):
        checkpoint_blocks(model, every=1)
