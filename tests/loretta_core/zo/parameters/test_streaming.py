"""Streamed parameters against the flat buffer: the same losses, the same updates; bf16 really moves; θ is never written by an evaluation."""

import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, BertConfig, DebertaV2Config, GPT2Config, LlamaConfig, OPTConfig

from loretta_core.tt.linear import TTLinear
from loretta_core.zo.directions.base import slots_of
from loretta_core.zo.directions.dense import Dense
from loretta_core.zo.noise import Direction, draw, draw_rows, random_bits
from loretta_core.zo.optim import ZOSGD
from loretta_core.zo.parameters import streaming
from loretta_core.zo.parameters.placement import LazyShift
from loretta_core.zo.replay_log import LogWriter, read_log, replay

SIZES = {"hidden_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50, "max_position_embeddings": 40}
CONFIGS = {
    "bert": BertConfig(**SIZES, intermediate_size=60),
    "deberta": DebertaV2Config(**SIZES, intermediate_size=60, relative_attention=True, pos_att_type=["c2p", "p2c"], max_relative_positions=20),
    "opt": OPTConfig(**SIZES, ffn_dim=60, word_embed_proj_dim=40),
    "gpt2": GPT2Config(n_embd=40, n_layer=2, n_head=4, vocab_size=50, n_positions=40, bos_token_id=1, eos_token_id=2),
    "llama": LlamaConfig(**SIZES, intermediate_size=60, num_key_value_heads=2),
    "llama, tied": LlamaConfig(**SIZES, intermediate_size=60, tie_word_embeddings=True),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Every matrix is cut, at edges that fit no word of the generator."""
    monkeypatch.setattr(streaming, "BLOCK", 1501)
    monkeypatch.setattr(streaming, "LINEAR_BLOCK", 1000)


def model_of(name, dtype=torch.float32):
    torch.manual_seed(0)
    kind = AutoModelForMaskedLM if name in ("bert", "deberta") else AutoModelForCausalLM
    return kind.from_config(CONFIGS[name]).to(dtype).eval()


def closure_of(model):
    ids_BL = torch.randint(5, 50, (3, 12), generator=torch.Generator().manual_seed(1))
    mask_BL = torch.ones_like(ids_BL)
    mask_BL[0, 9:] = 0
    return lambda: F.cross_entropy(model(input_ids=ids_BL, attention_mask=mask_BL).logits.float().flatten(0, 1), ids_BL.flatten())


def trained(model, *, streamed, steps=2, **options):
    optimizer = ZOSGD(model.parameters(), streamed=streamed, **{"lr": 1e-3, "zo_eps": 1e-2, "num_directions": 2, "weight_decay": 0.1} | options)
    seen = []
    optimizer.on_step = lambda step, differences: seen.append(differences)
    losses = [optimizer.step(closure_of(model)) for _ in range(steps)]
    return losses, seen, torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


@pytest.mark.parametrize("name", CONFIGS)
def test_streaming_is_the_flat_engine(name):
    flat, streamed = (trained(model_of(name), streamed=kind) for kind in (False, True))
    assert streamed[0] == pytest.approx(flat[0], rel=1e-6)
    for one, other in zip(flat[1], streamed[1], strict=True):
        assert other == pytest.approx(one, rel=1e-2, abs=2e-6)
    torch.testing.assert_close(streamed[2], flat[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"estimator": "one_sided"}, {"distribution": "rademacher"}, {"scaling": "std"}], ids=str)
def test_options_stream_too(options):
    flat, streamed = (trained(model_of("llama, tied"), streamed=kind, lr=1e-4, **options) for kind in (False, True))
    torch.testing.assert_close(streamed[2], flat[2], rtol=1e-4, atol=5e-5)


def test_tensor_trains_do_not_keep_a_perturbed_half():
    ends = []
    for streamed in (False, True):
        torch.manual_seed(0)
        layer = TTLinear(24, 30, rank=3).eval()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(0.1)
        optimizer = ZOSGD(layer.parameters(), lr=1e-2, zo_eps=1e-2, streamed=streamed)
        x_BI = torch.linspace(-1, 1, 48).view(2, 24)
        losses = [optimizer.step(lambda layer=layer, x_BI=x_BI: layer(x_BI).square().mean()) for _ in range(4)]
        ends.append((losses, torch.cat([parameter.detach().reshape(-1) for parameter in layer.parameters()])))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-5)
    torch.testing.assert_close(ends[0][1], ends[1][1], rtol=1e-4, atol=1e-5)


def dense(storage, distribution="gaussian"):
    draws = Dense()
    draws.attach(slots_of([{"params": storage.parameters}]), distribution=distribution, streamed=True, state={})
    return draws


def test_every_perturbed_copy_is_theta_plus_its_slice_of_the_direction():
    model = model_of("llama, tied")
    storage = streaming.StreamedParameters(list(model.parameters()))
    shift = LazyShift(Direction(3, 1), dense(storage), tuple(0.01 * (k + 1) for k in range(len(storage.parameters))))
    z_P = draw(Direction(3, 1), size=len(storage))
    start = 0
    for slot, parameter in enumerate(storage.parameters):
        expected = parameter + 0.01 * (slot + 1) * z_P[start : start + parameter.numel()].view(parameter.shape)
        torch.testing.assert_close(storage.perturbed(slot, sign=1, shift=shift), expected, rtol=1e-6, atol=1e-7)
        start += parameter.numel()
    ids = torch.tensor([[3, 7, 3], [0, 49, 7]])
    assert torch.equal(storage.perturbed_rows(0, ids, sign=-1, shift=shift), storage.perturbed(0, sign=-1, shift=shift)[ids])


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_evaluation_leaves_theta_bitwise(dtype, broken):
    model = model_of("llama", dtype)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer, closure, calls = ZOSGD(model.parameters(), streamed=True), closure_of(model), iter(range(9))

    def loss():
        value = closure()
        if broken and next(calls) == 1:
            raise RuntimeError("out of memory")
        return value

    with pytest.raises(RuntimeError, match="out of memory") if broken else nullcontext():
        optimizer.probe(loss)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(closure(), closure_of(model)())


def test_bf16_weights_move_on_average_as_fp32_ones_would(monkeypatch):
    """At MeZO's lr nearest rounding keeps nearly all weights; stochastic rounding moves them by the right amount on average."""
    monkeypatch.setattr(streaming, "BLOCK", 1 << 20)
    size, wanted = 200_000, 2e-6  # at 0.02 bf16 numbers are 1.2e-4 apart
    weight = nn.Parameter(torch.full((size,), 0.02, dtype=torch.bfloat16))
    start = weight.detach().float().clone()
    storage = streaming.StreamedParameters([weight])
    for step in range(10):
        storage.subtract([LazyShift(Direction(0, 0), dense(storage, "rademacher"), (wanted,))], decays=[0.0], rounding=Direction(0, step, -1), measure=True)
    z = draw(Direction(0, 0), size=size, distribution="rademacher")
    moved = (start - weight.detach().float()) @ z / size
    assert moved.item() == pytest.approx(10 * wanted, rel=0.02)
    assert storage.gain == pytest.approx(1.0, rel=0.1)
    nearest = (start - wanted * z).to(torch.bfloat16).float()
    assert torch.equal(nearest, start)


def test_random_bits_and_rows_are_slices_of_one_sequence():
    bits = random_bits(Direction(1, 2, -1), start=0, size=40_000)
    assert torch.equal(random_bits(Direction(1, 2, -1), start=1003, size=77), bits[1003:1080])
    assert (bits.min().item(), bits.max().item()) >= (0, 65_000)
    assert bits.double().mean().item() == pytest.approx(32767.5, rel=0.01)
    for distribution in ("gaussian", "rademacher"):
        values = draw(Direction(5, 6), size=40_000, distribution=distribution)
        for start, width in ((0, 64), (3, 7), (129, 37), (5, 1)):
            rows = torch.tensor([0, 11, 2, 400])
            found = draw_rows(Direction(5, 6), rows, start=start, width=width, distribution=distribution)
            assert torch.equal(found, torch.stack([values[start + row * width : start + row * width + width] for row in rows]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_replay_is_bitwise(dtype, tmp_path):
    model = model_of("llama", dtype)
    optimizer = ZOSGD(model.parameters(), lr=1e-4, zo_eps=1e-2, streamed=True)
    optimizer.on_step = LogWriter(tmp_path / "log", header={})
    closure, calls = closure_of(model), iter(range(100))
    for _ in range(8):
        optimizer.step(lambda: closure() * (math.nan if next(calls) == 6 else 1.0))
    optimizer.on_step.flush()
    assert optimizer.skipped_steps == 1
    again = ZOSGD(model_of("llama", dtype).parameters(), lr=1e-4, zo_eps=1e-2, streamed=True)
    assert again.storage.sha256() != optimizer.storage.sha256()
    replay(read_log(tmp_path / "log"), again)
    assert again.storage.sha256() == optimizer.storage.sha256()


def test_bf16_and_large_models_stream_by_themselves():
    assert isinstance(ZOSGD(model_of("llama", torch.bfloat16).parameters()).storage, streaming.StreamedParameters)
    assert not isinstance(ZOSGD(model_of("llama").parameters()).storage, streaming.StreamedParameters)
    with pytest.raises(ValueError, match="not one vector"):
        ZOSGD(model_of("llama", torch.bfloat16).parameters()).theta  # noqa: B018 - a property
    with pytest.raises(ValueError, match="fp32 or bf16"):
        ZOSGD([nn.Parameter(torch.ones(2, dtype=torch.float16))])
    with pytest.raises(ValueError, match="contiguous"):
        ZOSGD([nn.Parameter(torch.ones(2, 3).T)], streamed=True)


def test_a_parameter_that_nothing_reads_is_named():
    used, unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(5, 7))
    with pytest.warns(UserWarning, match=r"\(5, 7\).*their updates are noise"):
        ZOSGD([used, unused], streamed=True).step(lambda: used.sum())
