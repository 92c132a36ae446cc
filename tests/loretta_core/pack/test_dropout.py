"""Merged cells drop out what they drop out alone: the same elements, bit by bit, and their streams of random numbers go on from the same place."""

import json
import shutil
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from loretta_core.config import cell_from_overrides
from loretta_core.config.checkpoints.locate import locate
from loretta_core.config.model import Pretrained
from loretta_core.pack.dropout import DropoutNoiseMode, RandomStreams, growing_axes
from loretta_core.train.run import run_cell
from tests.loretta_core.pack.cells import ENCODER, FEW, FIRST_ORDER, PEFT_METHODS, RANKED, losses, packed, run_all, same_curves

FEW_METHODS = {"loretta_adp", "prefix"}
P = 0.25


def states_of(seeds):
    return [[torch.Generator().manual_seed(seed).get_state()] for seed in seeds]


def drawn_alone(seed, *shapes):
    torch.manual_seed(seed)
    return [F.dropout(torch.ones(shape), P) for shape in shapes], torch.get_rng_state()


def test_noise_is_that_of_the_unpadded_shape():
    lengths, seeds = (3, 5), (11, 12)
    torch.manual_seed(1)
    ours = torch.get_rng_state()
    streams = RandomStreams(states_of(seeds), lengths, axes=[[(1, 1)], [(2, 1), (3, 1)], [(0, 4)], []], sequences=None)
    padded = [(4, 5, 6), (4, 2, 7, 5), (20, 6), (4, 6)]  # hidden states, attention after a prefix of two, rows and tokens in one axis, one vector a row
    noises = [streams.noise([0, 1], torch.ones(2, *shape), probability=P, call=call) for call, shape in enumerate(padded)]
    assert torch.equal(torch.get_rng_state(), ours)
    for index, (length, seed) in enumerate(zip(lengths, seeds, strict=True)):
        alone, state = drawn_alone(seed, (4, length, 6), (4, 2, length + 2, length), (4 * length, 6), (4, 6))
        hidden, attention, flat, vector = (noise[index] for noise in noises)
        assert torch.equal(hidden[:, :length], alone[0])
        assert torch.equal(attention[:, :, : length + 2, :length], alone[1])
        assert torch.equal(flat.unflatten(0, (4, 5))[:, :length], alone[2].unflatten(0, (4, length)))
        assert torch.equal(vector, alone[3])
        assert (hidden[:, length:] == 1).all()
        assert torch.equal(streams.states[index][0], state)


def test_which_axes_grow():
    def forward(length):
        x = torch.ones(4, length, 6)
        F.dropout(x, P)
        F.dropout(x.flatten(0, 1), P)
        F.dropout(x[:, 0], P)
        F.dropout(x, P, training=False)
        F.scaled_dot_product_attention(x, F.pad(x, (0, 0, 2, 0)), F.pad(x, (0, 0, 2, 0)), dropout_p=P)

    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert growing_axes(partial(forward, 3), partial(forward, 5), by=2) == [[(1, 1)], [(0, 4)], [], [(1, 1), (2, 1)]]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "shapes",
    [lambda length: [(length**2,)], lambda length: [(2,)] * length, lambda length: [(2,) * length], lambda length: [(10 - length,)]],
    ids=["square", "calls", "axes", "less"],
)
def test_what_grows_in_other_ways_is_refused(shapes):
    def forward(length):
        for shape in shapes(length):
            F.dropout(torch.ones(shape), P)

    with pytest.raises(RuntimeError, match="rows"):
        growing_axes(partial(forward, 3), partial(forward, 5), by=2)


def test_answer_tokens_are_refused():
    streams = RandomStreams(states_of([0]), [5], axes=None, sequences=4)
    streams.noise([0], torch.ones(1, 4, 6), probability=P, call=0)
    with pytest.raises(RuntimeError, match="7 answer tokens"):
        streams.noise([0], torch.ones(1, 7, 6), probability=P, call=1)


@pytest.mark.parametrize("masked", [None, "bool", "float"])
def test_attention_is_that_of_torch(masked):
    query, key, value = torch.randn(3, 2, 4, 5, 8).double()
    mask = torch.rand(2, 1, 5, 5) < 0.7
    mask[0, 0, 0] = False  # torch gives zeros where nothing may be looked at
    bias = torch.zeros(2, 1, 5, 5).double().masked_fill(~mask, -torch.inf)
    chosen = {None: None, "bool": mask, "float": bias}[masked]
    torch.manual_seed(3)
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=chosen, dropout_p=P, scale=0.3)
    torch.manual_seed(3)
    with DropoutNoiseMode(lambda like, p: F.dropout(torch.ones_like(like), p)):
        torch.testing.assert_close(F.scaled_dot_product_attention(query, key, value, attn_mask=chosen, dropout_p=P, scale=0.3), expected)


def dropping(directory, *, attention=0.2):
    """A cell on toy-bert with dropout of hidden states and of attention."""
    shutil.copytree(locate(Pretrained(type="pretrained", name="toy-bert")), directory, dirs_exist_ok=True)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": attention}))
    return [f"model={directory}", "task=toy_sentiment", *FEW]


def assert_same_steps(cells, caplog):
    for merged, alone in zip(packed(cells), map(losses, cells), strict=True):
        assert merged[0] == pytest.approx(alone[0], rel=1e-5)
        assert merged == pytest.approx(alone, rel=1e-3)
    assert "one by one" not in caplog.text


@pytest.mark.integration
@pytest.mark.parametrize(
    ("method", "objective"),
    [*(pytest.param(method, "prompt", marks=() if method in FEW_METHODS else pytest.mark.slow) for method in PEFT_METHODS), ("lora", "head")],
)
def test_steps_are_those_of_cells_alone(method, objective, tmp_path, caplog):
    assert_same_steps([[*dropping(tmp_path), f"task.objective={objective}", f"method={method}", *trainer] for trainer in FIRST_ORDER], caplog)


def test_cells_that_see_the_same_rows_draw_the_same(tmp_path, caplog):
    assert_same_steps([[*dropping(tmp_path), "method=lora", *trainer, "seed=0"] for trainer in FIRST_ORDER], caplog)


@pytest.mark.gpu
@pytest.mark.parametrize("attention", [0.0, 0.2])
def test_a_gpu_merges_where_attention_drops_nothing(attention, tmp_path, caplog):
    cells = [[*dropping(tmp_path, attention=attention), "method=lora", *trainer, "engine.gpus=1"] for trainer in FIRST_ORDER]
    for merged, alone in zip(packed(cells), map(losses, cells), strict=True):
        assert merged == pytest.approx(alone, rel=1e-3)
    assert ("one by one" in caplog.text) == bool(attention)


@pytest.mark.parametrize("rest", [ENCODER, RANKED], ids=["prompt", "ranked"])
@pytest.mark.parametrize("dropout", ["lora.lora", "loretta_rep.lora", "loretta_adp.adapter"])
def test_dropout_of_adapters(dropout, rest, caplog):
    method, name = dropout.split(".")
    assert_same_steps(
        [[*rest, f"method={method}", f"method.{name}_dropout=0.2", *trainer, "engine.gradient_accumulation=2"] for trainer in FIRST_ORDER], caplog
    )


@pytest.mark.slow
def test_whole_curves_are_those_of_cells_alone(tmp_path, fp64):
    cells = [
        cell_from_overrides([*dropping(tmp_path / "model"), "method=lora", *trainer, "trainer.steps=12", "trainer.eval_every=4"]) for trainer in FIRST_ORDER
    ]
    alone = [run_cell(cell, directory=tmp_path / f"alone{index}") for index, cell in enumerate(cells)]
    assert all(map(same_curves, run_all(cells, tmp_path), alone))
